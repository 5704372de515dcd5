"""Sends bodies that are answered before they are read, as Python's own client does: all of it first, then it looks at the
answer. Arguments: port, token, path of a webhook. Prints a line for each case that went wrong."""

import http.client
import sys

PORT, TOKEN, HOOK = int(sys.argv[1]), sys.argv[2], sys.argv[3]
SIGNED_IN = {"authorization": f"Bearer {TOKEN}"}
JSON = {"content-type": "application/json"}
SMALL, MIDDLE, LARGE = 2, 1_200_000, 8_000_000

CASES = [
    # status, method, path, headers, sizes
    (413, "POST", "/auth/login", JSON, (MIDDLE, LARGE)),
    (413, "POST", "/auth/refresh", JSON, (MIDDLE, LARGE)),
    (413, "POST", "/api/v1/packs", {**JSON, **SIGNED_IN}, (MIDDLE, LARGE)),
    (413, "POST", HOOK, JSON, (MIDDLE, LARGE)),
    (401, "POST", "/api/v1/packs", JSON, (SMALL, 100_000, MIDDLE, LARGE)),
    (401, "POST", "/api/v1/packs", {**JSON, "authorization": "Bearer nonsense"}, (SMALL, MIDDLE, LARGE)),
    (403, "POST", "/api/v1/packs", {**JSON, "authorization": f"Bearer {sys.argv[4]}"}, (SMALL, MIDDLE, LARGE)),
    (404, "POST", "/nowhere", JSON, (SMALL, 100_000, MIDDLE, LARGE)),
    (404, "POST", "/api/v1/webhooks/none", JSON, (SMALL, MIDDLE, LARGE)),
    (405, "PUT", "/auth/login", JSON, (SMALL, MIDDLE, LARGE)),
    (405, "TRACE", HOOK, JSON, (SMALL, MIDDLE, LARGE)),
    (415, "POST", "/api/v1/packs", {"content-type": "text/csv", **SIGNED_IN}, (SMALL, 900_000)),
    (422, "GET", "/api/v1/events?limit=none", {**JSON, **SIGNED_IN}, (SMALL, MIDDLE, LARGE)),
    (200, "GET", "/api/docs", JSON, (SMALL, MIDDLE, LARGE)),
]


def chunks(size):
    for start in range(0, size, 50_000):
        yield b" " * min(50_000, size - start)


def ask(connection, method, path, body, headers):
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def main():
    for status, method, path, headers, sizes in CASES:
        for size in sizes:
            for kind, body in (("whole", lambda: b" " * size), ("chunked", lambda: chunks(size))):
                case = f"{method} {path} {size} {kind}"
                connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
                try:
                    found = ask(connection, method, path, body(), headers)
                    if found != status:
                        print(f"{case}: {found} in place of {status}")
                    kept = connection.sock is not None
                    again = ask(connection, "GET", "/health/live", None, {})
                    if again != 200 or not kept:
                        print(f"{case}: then {again}, kept: {kept}")
                except OSError as error:
                    print(f"{case}: {error!r}")
                except http.client.HTTPException as error:
                    print(f"{case}: {error!r}")
                connection.close()
    print("done")


main()
