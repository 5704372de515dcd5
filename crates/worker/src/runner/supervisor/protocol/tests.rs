use super::{super::codec::Inbox, *};

#[test]
fn requests_survive_the_way_in_any_slices() {
    let start = Request::Start(Box::new(Start {
        id: 7,
        execution: "e".into(),
        program: b"/bin/sh".to_vec(),
        arguments: vec![b"-c".to_vec(), vec![0xff, 0]],
        environment: vec![(b"A".to_vec(), b"b".to_vec())],
        directory: b"/".to_vec(),
        input: vec![1; 100],
        timeout: Duration::from_secs(3),
        grace: Duration::from_millis(5),
        lease: Some(Duration::from_secs(9)),
        user: Some(70_001),
        holds_slot: true,
        limits: Some(Limits {
            files: Some(64),
            ..Limits::default()
        }),
        template: Some(3),
    }));
    let lease = Request::Lease {
        id: 7,
        until: Duration::from_secs(19),
    };
    let stop = Request::Stop {
        id: 7,
        grace: Duration::ZERO,
    };
    let mut bytes = Vec::new();
    start.encode(&mut bytes);
    stop.encode(&mut bytes);
    lease.encode(&mut bytes);
    Request::Ping.encode(&mut bytes);
    Request::Start(Box::default()).encode(&mut bytes);
    Request::Open(Box::default()).encode(&mut bytes);
    Request::Close { id: 3 }.encode(&mut bytes);
    for size in [1, 3, 64, bytes.len()] {
        let mut inbox = Inbox::default();
        let mut seen = Vec::new();
        for slice in bytes.chunks(size) {
            inbox.push(slice);
            while let Some(body) = inbox.take().unwrap() {
                seen.push(Request::decode(body).unwrap());
            }
        }
        let unleased = Request::Start(Box::default());
        assert_eq!(seen.len(), 7);
        assert_eq!(
            [&seen[0], &seen[1], &seen[2], &seen[3], &seen[4]],
            [&start, &stop, &lease, &Request::Ping, &unleased]
        );
        assert_eq!(
            [&seen[5], &seen[6]],
            [&Request::Open(Box::default()), &Request::Close { id: 3 }]
        );
    }
}

#[test]
fn replies_survive_the_way() {
    let report = Report {
        id: 1,
        code: None,
        signal: Some(9),
        timed_out: true,
        began: Duration::from_secs(5),
        ended: Duration::from_secs(8),
        stdout: Captured {
            head: vec![1],
            omitted: 5,
            tail: vec![2],
        },
        result: Captured {
            head: vec![3],
            ..Captured::default()
        },
        ..Report::default()
    };
    for reply in [
        Reply::Ready,
        Reply::Closed { id: 5 },
        Reply::Output {
            id: 4,
            pieces: vec![
                Piece {
                    channel: Channel::Stderr,
                    bytes: vec![0, 255],
                },
                Piece {
                    channel: Channel::Stdout,
                    bytes: Vec::new(),
                },
            ],
        },
        Reply::Ended(Box::new(report)),
        Reply::StartFailed {
            id: 3,
            error: StartError {
                number: Some(2),
                text: "no".into(),
            },
        },
    ] {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        let mut inbox = Inbox::default();
        inbox.push(&bytes);
        assert_eq!(Reply::decode(inbox.take().unwrap().unwrap()).unwrap(), reply);
    }
}

#[test]
fn nonsense_is_an_error_and_no_panic() {
    for body in [&[][..], &[9; 8], &[0; 8], &[255; 40]] {
        assert!(Request::decode(body).is_err());
    }
    let mut inbox = Inbox::default();
    inbox.push(&u32::MAX.to_le_bytes());
    assert!(inbox.take().is_err());
}
