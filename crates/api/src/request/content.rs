//! `Content-Encoding`: decodes a compressed body, up to the limit of an uncompressed one.

use crate::problem::Problem;
use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
};
use brotli_decompressor::Decompressor;
use flate2::{Decompress, FlushDecompress, Status, read::MultiGzDecoder};
use ruzstd::decoding::{
    StreamingDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use std::io::{self, Read};

/// More nested codings than this are an attack.
const CODINGS_MAX: usize = 4;
/// The maximum of RFC 9659 for HTTP.
const ZSTD_WINDOW_MAX: u64 = 8 * 1024 * 1024;

/// Decodes a body by its `Content-Encoding` headers.
pub fn decode(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, Problem> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    decode_all(codings.map(|value| value.to_str().unwrap_or("?")), body, max)
}

/// The headers list the codings in the order in which they were applied.
pub fn decode_all<'h>(headers: impl Iterator<Item = &'h str>, mut body: Bytes, max: usize) -> Result<Bytes, Problem> {
    let codings = headers.flat_map(|header| header.split(','));
    let mut codings: Vec<_> = codings.map(|coding| coding.trim().to_ascii_lowercase()).collect();
    codings.retain(|coding| !coding.is_empty() && coding != "identity");
    if body.is_empty() {
        return Ok(body);
    }
    if codings.len() > CODINGS_MAX {
        return Err(unsupported(&format!("with {} nested codings", codings.len())));
    }
    for coding in codings.iter().rev() {
        let decoded = match coding.as_str() {
            "gzip" | "x-gzip" => bounded(MultiGzDecoder::new(body.as_ref()), max),
            "deflate" => deflate(&body, max),
            "br" => brotli(&body, max),
            "zstd" => zstd(&body, max),
            other => return Err(unsupported(&other.chars().take(64).collect::<String>())),
        };
        let decoded = decoded.map_err(|_| {
            let detail = format!("the body is not valid {coding}, or it is incomplete");
            Problem::new(StatusCode::BAD_REQUEST, "content_encoding", detail)
        })?;
        if decoded.len() > max {
            let detail = format!("the decoded body is larger than {max} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
        }
        body = decoded.into();
    }
    Ok(body)
}

fn unsupported(coding: &str) -> Problem {
    let detail = format!("content-encoding {coding} is not supported; use gzip, deflate, br, zstd or none");
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", detail)
}

/// Reads at most one byte more than allowed.
fn bounded(reader: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    reader.take(max as u64 + 1).read_to_end(&mut decoded)?;
    Ok(decoded)
}

/// In HTTP, deflate means zlib; some clients omit its header.
fn deflate(body: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let is_zlib = matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]) % 31 == 0);
    let mut decoded = Vec::with_capacity(max + 1);
    let mut stream = Decompress::new(is_zlib);
    let status = stream.decompress_vec(body, &mut decoded, FlushDecompress::Finish)?;
    let is_whole = status == Status::StreamEnd && stream.total_in() == body.len() as u64;
    if is_whole || decoded.len() > max {
        Ok(decoded)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn brotli(body: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let mut stream = Decompressor::new(body, body.len());
    let decoded = bounded(&mut stream, max)?;
    // Only a read past the end detects trailing bytes.
    if decoded.len() <= max && stream.read(&mut [0])? > 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(decoded)
}

/// One or more frames.
fn zstd(body: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let (mut rest, mut decoded) = (body, Vec::new());
    while !rest.is_empty() && decoded.len() <= max {
        match StreamingDecoder::new_with_max_window_size(&mut rest, ZSTD_WINDOW_MAX) {
            Ok(mut frame) => {
                let left = (max - decoded.len()) as u64 + 1;
                frame.by_ref().take(left).read_to_end(&mut decoded)?;
                let given = frame.decoder.get_checksum_from_data();
                if decoded.len() <= max && given.is_some() && given != frame.decoder.get_calculated_checksum() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    const PLAIN: &[u8] = br#"{"n": 1, "text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    /// Made with gzip, Python's zlib (with and without its header) and zstd.
    const ENCODED: [(&str, &str); 4] = [
        ("gzip", "H4sIAAAAAAAAA6tWylOyUjDUUVAqSa0oATKVEokESrUAR1BXxDwAAAA="),
        ("deflate", "eJyrVspTslIw1FFQKkmtKAEylRKJBEq1AEDcFFE="),
        ("deflate", "q1bKU7JSMNRRUCpJrSgBMpUSiQRKtQA="),
        ("zstd", "KLUv/SQ83QAAqHsibiI6IDEsICJ0ZXh0IjogImEifQEAlSAMLYzxaw=="),
    ];
    const MAX: usize = 100_000;

    fn decode_one(coding: &str, body: &[u8]) -> Result<Bytes, (u16, String)> {
        decode_all([coding].into_iter(), Bytes::copy_from_slice(body), MAX)
            .map_err(|problem| (problem.status().as_u16(), problem.detail().to_owned()))
    }

    /// Blocks of brotli as RFC 7932 defines them, not compressed.
    fn stored_by_brotli(plain: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (i, block) in plain.chunks(65_536).enumerate() {
            let length = u32::try_from(block.len() - 1).expect("a small block");
            let header = (length << 3) | (1 << 19);
            let header = if i == 0 { (header << 4) | 0b1011 } else { header };
            encoded.extend_from_slice(&header.to_le_bytes()[..3]);
            encoded.extend_from_slice(block);
        }
        encoded.push(3);
        encoded
    }

    fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
        use flate2::{Compression, read};
        let mut encoded = Vec::new();
        let read = match coding {
            "gzip" => read::GzEncoder::new(plain, Compression::best()).read_to_end(&mut encoded),
            "deflate" => read::ZlibEncoder::new(plain, Compression::best()).read_to_end(&mut encoded),
            "br" => return stored_by_brotli(plain),
            _ => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                return ruzstd::encoding::compress_to_vec(plain, level);
            }
        };
        read.expect("an encoded body");
        encoded
    }

    #[test]
    fn bodies_encoded_by_other_programs() {
        for (coding, text) in ENCODED {
            let body = STANDARD.decode(text).expect("base64");
            assert_eq!(decode_one(coding, &body).expect(coding), PLAIN, "{coding}");
            assert_eq!(
                decode_one(&coding.to_uppercase(), &body).expect(coding),
                PLAIN,
                "{coding}"
            );
            assert_eq!(
                decode_one(&format!(" identity , {coding},"), &body).expect(coding),
                PLAIN,
                "{coding}"
            );
        }
        let brotli = b"\x8b\x03\x80{\"n\": 1}\x03";
        assert_eq!(decode_one("br", brotli).expect("br"), &br#"{"n": 1}"#[..]);
        assert_eq!(decode_one("", PLAIN).expect("plain"), PLAIN);
    }

    #[test]
    fn nested_codings() {
        let inner = encoded("gzip", PLAIN);
        let outer = encoded("zstd", &inner);
        assert_eq!(decode_one("gzip, zstd", &outer).expect("both"), PLAIN);
        let twice = decode_all(["gzip", "zstd"].into_iter(), outer.into(), MAX);
        assert_eq!(twice.expect("two headers"), PLAIN);
        assert_eq!(
            decode_one("gzip, gzip, gzip, gzip, gzip", &inner)
                .expect_err("too many")
                .0,
            415
        );
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        for coding in ["gzip", "zstd"] {
            let mut body = encoded(coding, b"[1, ");
            if coding == "zstd" {
                body.extend_from_slice(b"\x50\x2a\x4d\x18\x03\0\0\0abc");
            }
            body.extend_from_slice(&encoded(coding, b"2]"));
            assert_eq!(decode_one(coding, &body).expect(coding), &b"[1, 2]"[..], "{coding}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let body = encoded(coding, &vec![0; MAX]);
            assert_eq!(decode_one(coding, &body).expect(coding).len(), MAX, "{coding}");
            for size in [MAX + 1, 50 * MAX] {
                let body = encoded(coding, &vec![0; size]);
                let (status, detail) = decode_one(coding, &body).expect_err(coding);
                assert_eq!(status, 413, "{coding}: {detail}");
            }
            let bomb = encoded(coding, &encoded(coding, &vec![0; 50 * MAX]));
            if bomb.len() < MAX {
                assert_eq!(
                    decode_one(&format!("{coding}, {coding}"), &bomb).expect_err(coding).0,
                    413,
                    "{coding}"
                );
            }
        }
        // A window of 2 GiB is not allocated.
        let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0";
        assert_eq!(decode_one("zstd", window).expect_err("too large a window").0, 400);
    }

    #[test]
    fn broken_bodies_are_refused() {
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let body = encoded(coding, PLAIN);
            assert_eq!(decode_one(coding, &body).expect(coding), PLAIN, "{coding}");
            for length in 1..body.len() {
                let (status, detail) = decode_one(coding, &body[..length]).expect_err(coding);
                assert!(
                    status == 400 && detail.contains(coding),
                    "{coding} of {length}: {status} {detail}"
                );
            }
            assert_eq!(decode_one(coding, PLAIN).expect_err(coding).0, 400, "{coding}");
        }
        for coding in ["gzip", "deflate", "br", "zstd"] {
            let mut body = encoded(coding, PLAIN);
            body.extend_from_slice(b"garbage");
            assert_eq!(decode_one(coding, &body).expect_err(coding).0, 400, "{coding}");
        }
        let gzip = encoded("gzip", PLAIN);
        for unknown in ["compress", "lz4", "gzip, snappy", "?"] {
            let (status, detail) = decode_one(unknown, &gzip).expect_err(unknown);
            let name = unknown.rsplit(", ").next().expect("a name");
            assert!(status == 415 && detail.contains(name), "{unknown}: {detail}");
        }
    }
}
