"""What can be wrong with tokens and policies."""

from __future__ import annotations


class AccountError(Exception):
    """Root of the accounts' errors.

    `status` is the HTTP status that says the same; `field` the input at fault, if one is.
    """

    status = 400

    def __init__(self, code: str, message: str, remedy: str, *, field: str | None = None) -> None:
        """Keep the stable `code`, what is wrong and what to do."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.field = field


class TokenMissing(AccountError):
    """A call came without a bearer token."""

    status = 401

    def __init__(self) -> None:
        """Make the error."""
        super().__init__(
            "token-missing",
            "the call has no bearer token",
            "send 'Authorization: Bearer TOKEN' with the token of the state folder's file "
            "cloud/owner-token, or one made with 'mooring cloud token'",
        )


class NoWayIn(TokenMissing):
    """A call came with neither of the two things that open the service API."""

    def __init__(self) -> None:
        """Make the error."""
        super().__init__()
        self.message = "the call has neither a shared access signature nor a bearer token"
        self.remedy = (
            "send 'Authorization: SharedAccessSignature …', signed with the key of a policy "
            "('mooring cloud info' prints a connection string), or 'Authorization: Bearer TOKEN' "
            "with the token of the state folder's file cloud/owner-token"
        )


class TokenRefused(AccountError):
    """A bearer token is unknown, mistyped or revoked."""

    status = 401

    def __init__(self) -> None:
        """Make the error."""
        super().__init__(
            "token-refused",
            "the bearer token is unknown or revoked",
            "use the token of the state folder's file cloud/owner-token, or make a new one with "
            "'mooring cloud token'",
        )


class OwnerOnly(AccountError):
    """An admin token asked for what only the state folder's owner gets."""

    status = 403

    def __init__(self, what: str) -> None:
        """Name `what` was asked for."""
        super().__init__(
            "owner-only",
            f"only the owner token opens {what}",
            "use the token of the state folder's file cloud/owner-token",
        )


class SignatureRefused(AccountError):
    """A shared access signature opens nothing; `code` says why."""

    status = 401

    def __init__(self, code: str, fault: str, remedy: str) -> None:
        """Name the `fault` of the token."""
        super().__init__(code, f"Authorization: {fault}.", remedy, field="Authorization")


class RightMissing(AccountError):
    """A shared access policy lacks a right that the operation needs."""

    status = 403

    def __init__(self, policy: str, right: str) -> None:
        """Name the `policy` and the `right`."""
        super().__init__(
            "right-missing",
            f"The shared access policy {policy!r} lacks the right {right}.",
            "Use a policy that has it, or give it this right.",
            field="Authorization",
        )


class TokenNameMalformed(AccountError):
    """A token's name is empty, too long or not printable."""

    def __init__(self, name: str, max_chars: int) -> None:
        """Name the faulty `name`."""
        super().__init__(
            "token-name-malformed",
            f"name: {name[:80]!r} is not 1 to {max_chars} printable characters",
            "give the token a short name that says who uses it",
            field="name",
        )


class TokenLimitReached(AccountError):
    """There are as many tokens as may be."""

    status = 409

    def __init__(self, limit: int) -> None:
        """Name the `limit`."""
        super().__init__(
            "token-limit-reached",
            f"there are {limit} tokens already",
            "revoke those that nobody uses",
        )


class TokenNotFound(AccountError):
    """No token has this id."""

    status = 404

    def __init__(self, token_id: str) -> None:
        """Name the `token_id`."""
        super().__init__(
            "token-not-found",
            f"token_id: no token {token_id[:80]!r}",
            "list the tokens for their ids",
            field="token_id",
        )


class PolicyNotFound(AccountError):
    """A resource has no shared access policy of this name."""

    status = 404

    def __init__(self, resource: str, name: str) -> None:
        """Name the `resource` and the policy's `name`."""
        super().__init__(
            "policy-not-found",
            f"policy: {resource} has no shared access policy {name[:80]!r}",
            "list the policies for their names",
            field="policy",
        )


class PolicyMalformed(AccountError):
    """A shared access policy as asked for breaks a rule; `code` says which."""


class OwnerPolicyNeeded(AccountError):
    """The policy that may do everything was left out, or was to lose rights."""

    status = 409

    def __init__(self, name: str, message: str) -> None:
        """Name the policy; `message` says what would have become of it."""
        super().__init__(
            "owner-policy-needed",
            message,
            f"send {name!r} along with all its rights; keys that are not given are kept. To take "
            "its power from whoever has its keys, give it other keys",
            field="policy",
        )


class PolicyKeyWrong(AccountError):
    """A key is not one of the policy's two."""

    def __init__(self, resource: str, name: str) -> None:
        """Name the `resource` and the policy's `name`."""
        super().__init__(
            "policy-key-wrong",
            f"the key is neither the primary nor the secondary key of policy {name[:80]!r} of "
            f"{resource}",
            "copy the connection string again, whole",
            field="key",
        )


class PolicyLacksRight(AccountError):
    """A policy does not carry the right that is needed."""

    def __init__(self, name: str, right: str) -> None:
        """Name the policy and the `right`."""
        super().__init__(
            "policy-lacks-right",
            f"policy {name[:80]!r} does not carry the right {right}",
            "use a policy that carries it",
            field="policy",
        )
