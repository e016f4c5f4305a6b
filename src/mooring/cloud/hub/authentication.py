"""Who may connect to a hub: by the identity's authentication type, and by nothing else.

A device whose type is ``selfSigned`` is not let in by a chain or a token that would do for
another type, nor the other way round (design section 6).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import unquote

from mooring.cloud.accounts.model import AccessPolicy, Right
from mooring.cloud.hub.errors import ConnectRefused, HubNotFound
from mooring.cloud.hub.hubs import HubRegistry
from mooring.cloud.hub.model import (
    AuthenticatedDevice,
    AuthenticationScope,
    AuthenticationType,
    DeviceAuthentication,
    DeviceIdentity,
    DeviceStatus,
    Hub,
    HubConnect,
)
from mooring.cloud.hub.settings.model import HubSettings
from mooring.cloud.hub.store import HubStore
from mooring.pki.certificates import Certificate, common_name, sha1_thumbprint, sha256_thumbprint
from mooring.pki.verifier import CaSet, ChainRefused, ChainVerifier, RefusalCode
from mooring.protocol.azure.error_codes import HubErrorCode
from mooring.protocol.azure.errors import SasMalformed, SasRefused, quoted
from mooring.protocol.azure.sas import (
    SasToken,
    decode_key,
    parse_sas_token,
    resource_covers,
    verify_sas_token,
)
from mooring.runtime.clock import Clock

FindPolicy: TypeAlias = Callable[[Hub, str], AccessPolicy | None]
"""Returns the shared access policy of a hub and a name, as it is now; None if there is none."""

_SHA1_HEX = 40
_CODES = {
    RefusalCode.EXPIRED: "certificate-expired",
    RefusalCode.NOT_YET_VALID: "certificate-not-yet-valid",
    RefusalCode.UNKNOWN_CA: "ca-unknown",
}


class Authenticator:
    """Decides whether a device may connect."""

    def __init__(
        self,
        store: HubStore,
        hubs: HubRegistry,
        *,
        authorities: Callable[[Hub], CaSet],
        policies: FindPolicy,
        settings_of: Callable[[Hub], HubSettings],
        verifier: ChainVerifier,
        clock: Clock,
    ) -> None:
        """Look devices up in `store`.

        `authorities` gives the verified CAs of a hub, `policies` its shared access policies,
        `settings_of` which tokens it takes at all.
        """
        self._settings_of = settings_of
        self._store = store
        self._hubs = hubs
        self._authorities = authorities
        self._policies = policies
        self._verifier = verifier
        self._clock = clock

    async def authenticate(self, connect: HubConnect) -> AuthenticatedDevice:
        """See `HubService.authenticate`."""
        try:
            return await self._authenticate(connect)
        except ConnectRefused as error:
            connect.recorder.fail(error.code, error.message, error.remedy)
            raise

    async def _authenticate(self, connect: HubConnect) -> AuthenticatedDevice:
        recorder = connect.recorder
        recorder.begin("hub")
        try:
            hub = self._hubs.by_host_name(connect.host_name)
        except HubNotFound as error:
            raise ConnectRefused(
                error.message,
                error.remedy,
                field="host",
                code="unknown-hub",
                error_code=HubErrorCode.HUB_NOT_FOUND,
            ) from error
        recorder.passed(hub.name)
        recorder.begin("identity")
        identity = await self._store.find_device(hub.hub_id, connect.device_id)
        if identity is None:
            raise ConnectRefused(
                f"Hub {hub.name!r} has no device {connect.device_id!r}.",
                "Let the device register with the provisioning service again, or create it in "
                "the hub; upper and lower case of the id count.",
                field="deviceId",
                code="unknown-device",
            )
        if connect.module_id is not None:
            raise ConnectRefused(
                f"Device {connect.device_id!r} has no module {connect.module_id!r}: this hub "
                "holds no module identities.",
                "Connect as the device itself.",
                field="moduleId",
                code="unknown-module",
            )
        recorder.passed(f"{identity.authentication.type}, generation {identity.generation_id}")
        recorder.begin("attestation")
        ends_at, scope = self._check(connect, hub, identity)
        # After the proof: who cannot prove who it is, is told (and recorded as) just that.
        if identity.status is DeviceStatus.DISABLED:
            reason = f" ({identity.status_reason})" if identity.status_reason else ""
            raise ConnectRefused(
                f"Device {connect.device_id!r} proved who it is, but is disabled{reason}.",
                "Enable it in the hub if it is to connect; it is a block set on purpose.",
                field="deviceId",
                code="device-disabled",
                error_code=HubErrorCode.DEVICE_DISABLED,
            )
        recorder.passed()
        return AuthenticatedDevice(hub, identity, ends_at, scope)

    def _check(
        self, connect: HubConnect, hub: Hub, identity: DeviceIdentity
    ) -> tuple[datetime, AuthenticationScope]:
        """Return when the proof ends, and whose credentials it is made with."""
        authentication = identity.authentication
        if authentication.type is AuthenticationType.SELF_SIGNED:
            return self._check_thumbprint(connect, authentication), AuthenticationScope.DEVICE
        if authentication.type is AuthenticationType.CERTIFICATE_AUTHORITY:
            return self._check_chain(connect, hub), AuthenticationScope.DEVICE
        return self._check_token(connect, hub, authentication)

    def _check_thumbprint(
        self, connect: HubConnect, authentication: DeviceAuthentication
    ) -> datetime:
        leaf = _leaf(connect, AuthenticationType.SELF_SIGNED)
        sha256 = sha256_thumbprint(leaf)
        connect.recorder.context["thumbprint"] = sha256
        pinned = [
            thumbprint
            for thumbprint in (
                authentication.primary_thumbprint,
                authentication.secondary_thumbprint,
            )
            if thumbprint
        ]
        fits = False
        for thumbprint in pinned:
            own = sha1_thumbprint(leaf) if len(thumbprint) == _SHA1_HEX else sha256
            fits |= hmac.compare_digest(thumbprint, own)
        if not fits:
            raise ConnectRefused(
                f"The device's certificate has SHA-256 {sha256} (SHA-1 {sha1_thumbprint(leaf)}); "
                f"device {connect.device_id!r} is pinned to "
                f"{' or '.join(dict.fromkeys(pinned))}.",
                "Let the device register with the provisioning service again, which pins its "
                "present certificate, or correct the thumbprints in the hub.",
                field="certificate",
                code="thumbprint-mismatch",
            )
        try:
            self._verifier.verify_pinned(leaf, at=self._clock.now(), thumbprint=sha256)
        except ChainRefused as error:
            raise _chain_refused(error) from error
        return leaf.not_valid_after_utc

    def _check_chain(self, connect: HubConnect, hub: Hub) -> datetime:
        leaf = _leaf(connect, AuthenticationType.CERTIFICATE_AUTHORITY)
        connect.recorder.context["thumbprint"] = sha256_thumbprint(leaf)
        try:
            path = self._verifier.verify(
                connect.presented, self._authorities(hub), at=self._clock.now()
            )
        except ChainRefused as error:
            raise _chain_refused(error) from error
        if not path.known:
            # A CA's own certificate: it names no device, whatever its common name says.
            raise ConnectRefused(
                "The device presented a CA certificate of the hub itself.",
                "Have that CA issue a certificate for the device.",
                field="certificate",
                code="ca-certificate-as-device",
            )
        name = common_name(leaf)
        if name is None or not hmac.compare_digest(name.encode(), connect.device_id.encode()):
            raise ConnectRefused(
                f"The certificate's common name is {quoted(name or '')}; the device connects as "
                f"{connect.device_id!r}.",
                "Issue a certificate with the device id as common name; upper and lower case "
                "count.",
                field="certificate",
                code="common-name-not-device-id",
            )
        return path.not_after

    def _check_token(
        self, connect: HubConnect, hub: Hub, authentication: DeviceAuthentication
    ) -> tuple[datetime, AuthenticationScope]:
        if connect.password is None:
            raise ConnectRefused(
                f"Device {connect.device_id!r} is to authenticate with a shared access signature, "
                "but sent no password.",
                "Configure the device with its symmetric key, or let it register again with its "
                "certificate.",
                field="password",
                code="authentication-type-differs",
            )
        try:
            token = parse_sas_token(connect.password)
            wanted = f"{hub.host_name}/devices/{connect.device_id}"
            if not _is_for(token, wanted):
                raise ConnectRefused(
                    f"The token is for {quoted(token.resource)}, not for {wanted!r}.",
                    "Sign a token for this hub and device.",
                    field="password",
                    code="sas-resource-wrong",
                )
            self._check_kind_of_token(hub, token)
            if token.policy is None:
                scope = AuthenticationScope.DEVICE
                keys = (authentication.primary_key, authentication.secondary_key)
            else:
                scope = AuthenticationScope.HUB
                keys = self._policy_keys(hub, token.policy)
            verify_sas_token(token, [decode_key(key) for key in keys if key], now=self._clock.now())
        except (SasMalformed, SasRefused) as error:
            raise ConnectRefused(
                error.message, error.remedy, field="password", code=error.code
            ) from error
        # Twelve digits of seconds are years that no datetime holds.
        return datetime.fromtimestamp(min(token.expires_at_s, _LAST_SECOND), UTC), scope

    def _check_kind_of_token(self, hub: Hub, token: SasToken) -> None:
        """Refuse what the hub is set to refuse, whoever signed it."""
        settings = self._settings_of(hub)
        if token.policy is None and settings.disable_device_sas:
            raise ConnectRefused(
                f"Hub {hub.name!r} takes no token signed with a device's key (disableDeviceSAS).",
                "Have the device authenticate by certificate, or allow such tokens in the hub's "
                "settings.",
                field="password",
                code="device-sas-disabled",
            )
        if token.policy is not None and settings.disable_local_auth:
            raise ConnectRefused(
                f"Hub {hub.name!r} takes no token of a shared access policy (disableLocalAuth).",
                "Sign with the device's own key, or allow such tokens in the hub's settings.",
                field="password",
                code="local-auth-disabled",
            )

    def _policy_keys(self, hub: Hub, name: str) -> tuple[str, str]:
        """Return the keys of the policy that a token names: it opens every device of the hub."""
        policy = self._policies(hub, name)
        if policy is None:
            raise ConnectRefused(
                f"The token names the shared access policy {quoted(name)}, which hub "
                f"{hub.name!r} does not have.",
                "Sign with the device's own key and leave skn out, or with a policy of this hub.",
                field="password",
                code="sas-policy-unknown",
            )
        if Right.DEVICE_CONNECT not in policy.rights:
            raise ConnectRefused(
                f"The token names the shared access policy {policy.name!r}, which lacks the "
                f"right {Right.DEVICE_CONNECT}.",
                "Sign with a policy that has it, as 'device' does, or with the device's own key.",
                field="password",
                code="sas-policy-lacks-right",
            )
        return policy.primary_key, policy.secondary_key


def _is_for(token: SasToken, wanted: str) -> bool:
    """Return whether a token is for a device: ``host/devices/id``, or something above it.

    Python's and Node's SDKs encode that once; .NET's encodes the id, and then the whole again.
    """
    if resource_covers(token.resource, wanted):
        return True
    # Slashes that appear only now are no separators: they stand in a name, and no id has one.
    parts = [unquote(part).replace("/", "%2F") for part in token.resource.split("/")]
    return resource_covers("/".join(parts), wanted)


_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def _leaf(connect: HubConnect, kind: AuthenticationType) -> Certificate:
    if connect.presented:
        return connect.presented[0]
    raise ConnectRefused(
        f"Device {connect.device_id!r} is to authenticate with a certificate ({kind}), but "
        "presented none in the TLS handshake.",
        "Configure the device with its certificate and private key.",
        field="certificate",
        code="no-certificate" if connect.password is None else "authentication-type-differs",
    )


def _chain_refused(error: ChainRefused) -> ConnectRefused:
    code = next((text for known, text in _CODES.items() if known == error.code), error.code)
    return ConnectRefused(error.message, error.remedy, field="certificate", code=code)
