"""The CLI's way to a running cloud or gateway: its REST API, with the owner's token."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

import httpx

from mooring.cli.output import CommandError, UsageError
from mooring.protocol.azure.errors import AzureError

Part = Literal["cloud", "gateway"]

HTTP_NOT_FOUND = 404

TIMEOUT_S = 60.0
"""Above the longest synchronous operation of either API."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an API says when it refuses, whatever the shape it says it in."""

    code: str
    message: str
    remedy: str
    field: str | None = None
    tracking_id: str | None = None
    findings: Sequence[Mapping[str, Any]] = ()


class ApiError(CommandError):
    """The API refused: its own code, words and remedy."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        remedy: str,
        *,
        field: str | None = None,
        findings: Sequence[Mapping[str, Any]] = (),
        retry_after_s: int | None = None,
    ) -> None:
        """Keep the HTTP status, the findings of an Apply, and how long to wait before a retry."""
        super().__init__(code, message, remedy, field=field)
        self.status = status
        self.findings = findings
        self.retry_after_s = retry_after_s


class ApiClient:
    """A small client of either REST API, which turns every trouble into a `CommandError`."""

    def __init__(self, part: Part, base_url: str, token: str, *, trust: Path | None = None) -> None:
        """Prepare calls to `base_url` with the bearer `token`.

        `trust` is a CA file to believe instead of the system's, where `base_url` is https.

        Raises:
            CommandError: `trust` cannot be read.
            UsageError: `base_url` is no address.
        """
        self._part = part
        self.base_url = base_url.rstrip("/")
        verify = _tls_context(trust) if base_url.lower().startswith("https:") else True
        with self._troubles():
            self._client = httpx.Client(
                base_url=self.base_url + "/",
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                timeout=TIMEOUT_S,
                trust_env=False,
                verify=verify,
            )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._client.close()

    def get_json(self, path: str, **parameters: Any) -> Any:
        """GET `path`; parameters that are None are left out."""
        return self.request("GET", path, parameters=parameters)

    def post_json(
        self, path: str, body: Any = None, *, if_match: str | None = None, timeout_s: float = 0.0
    ) -> Any:
        """POST `body` as JSON; `timeout_s` waits longer than usual."""
        return self.request("POST", path, body=body, if_match=if_match, timeout_s=timeout_s)

    def put_json(self, path: str, body: Any, *, if_match: str | None = None) -> Any:
        """PUT `body` as JSON."""
        return self.request("PUT", path, body=body, if_match=if_match)

    def delete(self, path: str, *, if_match: str | None = None) -> Any:
        """DELETE `path`."""
        return self.request("DELETE", path, if_match=if_match)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        parameters: dict[str, Any] | None = None,
        if_match: str | None = None,
        timeout_s: float = 0.0,
    ) -> Any:
        """Call the API and return the decoded answer, None if it has no body.

        Raises:
            ApiError: It refused.
            CommandError: It could not be reached, or spoke something else.
            UsageError: A name or a value that no request can carry.
        """
        return self.exchange(
            method,
            path,
            body=body,
            parameters=parameters,
            headers={} if if_match is None else {"If-Match": if_match},
            timeout_s=timeout_s,
        )[0]

    def exchange(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        parameters: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 0.0,
    ) -> tuple[Any, Mapping[str, str]]:
        """Call the API as `request` does; return the decoded answer and its headers."""
        _check_path(path)
        content = None if body is None else _encode(body)
        with self._troubles():
            response = self._client.request(
                method,
                path.lstrip("/"),
                content=content,
                params={k: v for k, v in (parameters or {}).items() if v is not None},
                headers={
                    **({} if content is None else {"Content-Type": "application/json"}),
                    **(headers or {}),
                },
                timeout=max(timeout_s, TIMEOUT_S),
            )
        if not self._is_answer(response):
            raise self._refusal(response)
        if not response.content:
            return None, response.headers
        try:
            return response.json(), response.headers
        except ValueError:
            raise CommandError(
                "not-our-api",
                f"{self.base_url} answers, but not as Mooring's {self._part} does.",
                "Check --url and whether another program uses that port.",
            ) from None

    @contextmanager
    def stream_lines(self, path: str, **parameters: Any) -> Iterator[Iterator[str]]:
        """GET `path` and yield its lines as they come."""
        _check_path(path)
        with (
            self._troubles(),
            self._client.stream(
                "GET",
                path.lstrip("/"),
                params={k: v for k, v in parameters.items() if v is not None},
                timeout=httpx.Timeout(TIMEOUT_S, read=None),
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            yield response.iter_lines()

    def _is_answer(self, response: httpx.Response) -> bool:
        """Return whether the API did what was asked, or says of each part what became of it."""
        return response.is_success

    def _refusal(self, response: httpx.Response) -> ApiError:
        try:
            refusal = self._read_refusal(response)
        except (ValueError, KeyError, TypeError, AttributeError, AzureError):
            return self._unreadable(response)
        message = refusal.message
        # At 5xx the cause is in the server's log, and the id is the way to it.
        if response.is_server_error and refusal.tracking_id:
            message = f"{message} (tracking id {refusal.tracking_id})"
        return ApiError(
            response.status_code,
            refusal.code,
            message,
            _for_the_command_line(refusal.remedy),
            field=refusal.field,
            findings=refusal.findings,
            retry_after_s=_seconds(response.headers.get("retry-after")),
        )

    def _unreadable(self, response: httpx.Response) -> ApiError:
        """Return what a refusal means that is not in this API's shape."""
        status = response.status_code
        if status == HTTP_NOT_FOUND:
            return ApiError(
                status,
                "not-our-api",
                f"{self.base_url} answers, but has not what was asked for.",
                f"Check --url: `mooring {self._part} info` says where its APIs are.",
            )
        return ApiError(
            status,
            f"http-{status}",
            f"The {self._part} answered {status} {response.reason_phrase}.",
            f"See the log of the {self._part}.",
        )

    def _read_refusal(self, response: httpx.Response) -> Refusal:
        """Return what the answer says.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, AzureError: It is not this API's.
        """
        error = response.json()["error"]
        return Refusal(
            str(error["code"]),
            str(error["message"]),
            str(error.get("remedy") or ""),
            field=error.get("field"),
            tracking_id=error.get("tracking_id"),
            findings=error.get("findings") or (),
        )

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise (
                _explain_tls(error, self.base_url)
                or not_running(self._part, f"The {self._part} does not answer at {self.base_url}.")
            ) from None
        except httpx.InvalidURL as error:
            raise UsageError(
                "url-invalid",
                f"No request can be made of {self.base_url} and what was given ({error}).",
                "Correct --url, or shorten what is asked for.",
            ) from None
        except httpx.HTTPError as error:
            raise CommandError(
                f"{self._part}-unreachable",
                f"The call to {self.base_url} failed: {str(error) or type(error).__name__}",
                f"See the log of the {self._part}, then try again.",
            ) from None


def _check_path(path: str) -> None:
    """Refuse a path with a name that is empty, of dots, or with a slash: it would be another path.

    Raises:
        UsageError: RFC 3986 §5.2.4 removes dot segments, so that deleting the device ``..`` would
            mean deleting its hub; and a server may take ``%2F`` for the slash that it spells.
    """
    for name in path.lstrip("/").split("/"):
        if "%2F" in name:
            raise UsageError(
                "name-impossible",
                f"{unquote(name)!r} has a slash, which no name has.",
                "Give the name without it.",
            )
        if name in ("", ".", ".."):
            raise UsageError(
                "name-impossible",
                f"{name!r} is no name of anything." if name else "A name is empty.",
                "Give the name as the list shows it.",
            )


def _encode(body: Any) -> bytes:
    """Return `body` as JSON.

    Raises:
        UsageError: It holds what JSON has no words for.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise UsageError(
            "value-not-json",
            f"What was given cannot be sent as JSON: {_json_fault(error)}.",
            "Correct it: UTF-8 text, finite numbers, not nested too deeply.",
        ) from None


def _seconds(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _json_fault(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half a character, or bytes that are not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it holds NaN or Infinity"


def not_running(part: str, message: str) -> CommandError:
    """Return the error for a cloud or gateway that is not up."""
    return CommandError(
        f"{part}-not-running", message, f"Start it: mooring up, or mooring {part} serve."
    )


def _for_the_command_line(remedy: str) -> str:
    """Return an API's remedy in the words of the command line: a header is an option there."""
    return remedy.replace(
        "send If-Match with its etag, or with *", "give --if-match ETAG, or --if-match '*'"
    ).replace("send that with its etag", "send that with --if-match and its etag")


def _tls_context(trust: Path | None) -> Any:
    """Return how servers are judged: by the CA in `trust`, or by the system's own CAs.

    Raises:
        CommandError: `trust` cannot be read.
    """
    # Imported here: plain HTTP, the usual case, needs none of it.
    from mooring.transport.client_tls import ClientTls, load_client_context
    from mooring.transport.errors import TrustUnreadable

    files = () if trust is None else (trust,)
    try:
        return load_client_context(ClientTls(trust_system=trust is None, trust_files=files))
    except TrustUnreadable as error:
        raise CommandError(
            error.code,
            f"--trust: {error.message}.",
            "Give the PEM file of the server's CA.",
            field="--trust",
        ) from None


def _explain_tls(error: httpx.ConnectError, url: str) -> CommandError | None:
    """Return what a failed TLS handshake means, None if it was something else that failed."""
    from mooring.runtime.clock import SYSTEM_CLOCK
    from mooring.transport.tls_failures import explain_handshake_failure, find_tls_error

    cause = find_tls_error(error)
    if cause is None:
        return None
    address = urlsplit(url)
    failure = explain_handshake_failure(
        cause,
        where=address.netloc,
        server_name=address.hostname or "",
        now=SYSTEM_CLOCK.now(),
    )
    remedy = _TLS_REMEDIES.get(failure.code, failure.remedy)
    return CommandError(failure.code, f"{failure.message[0].upper()}{failure.message[1:]}.", remedy)


_TLS_REMEDIES = {
    "server-not-trusted": "Give that cloud's CA with --trust FILE: `mooring cloud info` says where "
    "it is, on the machine that the cloud runs on.",
    "not-a-tls-server": "Correct --url: `mooring cloud info` says which port is HTTPS.",
}
"""Where the command line has an option for what the transport's remedy says in general."""
