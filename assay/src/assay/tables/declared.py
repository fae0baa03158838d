"""The settings that a table's function reads: only those that `@table(settings=...)` names, and never shown by accident."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pydantic

from assay.errors import SettingsError, did_you_mean
from assay.settings import BaseSettings, is_secret, is_shown, secret

if TYPE_CHECKING:
    from assay.tables.nodes import Asset


@dataclass(frozen=True, repr=False)
class Declared(Mapping[str, Any]):
    """Values by the names of fields of the project's settings; a secret is a `pydantic.SecretStr`.

    Attributes:
        names: what the function may read.
        written: of what is no secret the text that counts as part of the table's code, as a plan shows it.
    """

    names: tuple[str, ...] = ()
    settings: BaseSettings | None = None
    where: str = ""
    written: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The value; raises SettingsError where it was not declared, or is a secret that is not set."""
        if name not in self.names or self.settings is None:
            fix = f'Declare it: settings=("{name}",).'
            raise SettingsError(f"reads the setting '{name}', which it does not declare", where=self.where, fix=fix)
        value = getattr(self.settings, name)
        if is_secret(type(self.settings), name):
            secret(self.settings, name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: ***" for name in self.names) + "}"


NOTHING = Declared()


def declared(node: Asset, settings: BaseSettings | None) -> Declared:
    """What `node` may read of a project's settings.

    Raises:
        SettingsError: it names a setting that the project does not declare as its own.
    """
    where = f"{node.stage}.{node.name} ({node.file})"
    if not node.settings or settings is None:
        return Declared(where=where)
    kind = type(settings)
    own = [name for name in kind.model_fields if name not in BaseSettings.model_fields]
    for name in node.settings:
        if name not in own:
            fix = did_you_mean(name, own, "Declare it as a field of the project's Settings.", most=1)
            raise SettingsError(f"'{name}' is no setting of the project's own", where=where, fix=fix)
    # A secret that changes makes no other rows, and not even a digest of it is kept.
    plain = [name for name in node.settings if not is_secret(kind, name)]
    return Declared(node.settings, settings, where, {name: _written(settings, name) for name in plain})


def _written(settings: BaseSettings, name: str) -> str:
    """A value as the plan shows it; of one that may not be shown a digest, under a key where there is one."""
    value = getattr(settings, name)
    if is_shown(type(settings), name):
        return f"{name} = {value!r}"
    key = settings.mask_key.get_secret_value() if settings.mask_key is not None else ""
    return f"{name} = *** {hmac.digest(key.encode(), repr(value).encode(), 'sha256').hex()[:12]}"


def fixture(kind: type[BaseSettings], given: Mapping[str, Any]) -> BaseSettings:
    """Settings of a golden case: the defaults, what the case gives, and for a secret that it does not give its own name.

    Raises:
        SettingsError: a value does not fit its field, or there is no such field; `where` is the field's name.
    """
    secrets = {name: f"secret:{name}" for name in kind.model_fields if is_secret(kind, name)}
    own = {name: text for name, text in secrets.items() if name not in BaseSettings.model_fields}
    try:
        return kind.model_validate({**own, **given})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(first["msg"], where=str(first["loc"][0])) from None
