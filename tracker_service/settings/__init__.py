"""All settings: defaults, then a YAML file, then `TRACKER_<SECTION>__<NAME>` of the environment."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from tracker_service import regex
from tracker_service.domain.copies import LOGS, Strategy
from tracker_service.domain.urls import is_loopback, leads_to_this_machine
from tracker_service.domain.users import HADOOP_USER_PATTERN
from tracker_service.errors import ConfigError
from tracker_service.settings.binds import binds
from tracker_service.settings.checks import ChecksSettings
from tracker_service.settings.encryption import plain_database_host
from tracker_service.settings.exporters import ExportersSettings
from tracker_service.settings.kerberos import KerberosSettings
from tracker_service.settings.ledger import LedgerSettings
from tracker_service.settings.sinks import EventsAndSinks

PREFIX = "TRACKER_"
DEFAULT_FILE = Path("config/tracker.yml")
SANDBOX_BIND = "127.0.0.1:8099"
#: Variables of the command `tracker` that are no settings.
_OF_THE_COMMAND = frozenset({"config", "url", "user", "password", "ca_file"})


def _log_directory(pattern: str) -> str:
    try:
        filled = pattern.format(user="u", bucket="0001", application="a")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{pattern}: only {{user}}, {{bucket}}, {{application}}") from error
    if not filled.startswith("/") or not filled.endswith("/a"):
        raise ValueError(f"{pattern}: begin with / and end with /{{application}}")
    return pattern


def _redact_pattern(pattern: str) -> str:
    try:
        compiled = regex.exact(pattern.encode())
    except regex.BadPattern as error:
        raise ValueError(f"{pattern}: no expression of RE2: {error.reason}") from error
    if compiled.groupindex:
        raise ValueError(f"{pattern}: its groups have no names")
    if compiled.search(b""):
        raise ValueError(f"{pattern}: it fits where nothing is")
    return pattern


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern}: no regular expression: {error}") from error
    return pattern


def _saved_logs(pattern: str) -> str:
    try:
        one, other = (pattern.format(home=f"/home/{user}", user=user) for user in "uv")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{pattern}: only {{home}} and {{user}}") from error
    if one == other:
        raise ValueError(f"{pattern}: name {{home}} or {{user}}, so that each has a directory")
    if not one.startswith("/") or one.endswith("/") or {"", ".", ".."} & set(one[1:].split("/")):
        raise ValueError(f"{pattern}: begin with {{home}} or /, end without /, and write no ..")
    return pattern


UserPattern = Annotated[str, AfterValidator(_expression)]
SavedLogs = Annotated[str, AfterValidator(_saved_logs)]
RedactPattern = Annotated[str, AfterValidator(_redact_pattern)]
LogDirectory = Annotated[str, AfterValidator(_log_directory)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]  # RFC 9110 §5.6.2
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Hours = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000)]
ThreadCount = Annotated[int, Field(gt=0, le=1000)]


class _SettingsSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySettings(KerberosSettings):
    """How the cluster is reached: through a Knox topology, or directly with Kerberos."""

    url: HttpUrl = HttpUrl(f"http://{SANDBOX_BIND}/gateway/sandbox")  #: up to and with the topology
    ca_file: Path | None = None  #: PEM with the authority of the gateway's certificate
    verify: bool = True  #: verify its certificate; if not, anybody in between can read passwords
    connect_timeout_s: Seconds = 3.05
    read_timeout_s: Seconds = 25  #: Knox itself gives up after 20 s
    #: header that goes with each request, for filters against forged requests (CSRF)
    csrf_header: HeaderName = "X-XSRF-HEADER"
    #: requests of one process at once; Knox opens at most 32 connections to each service
    max_concurrent: Count = 24
    requests_per_s: Rate = 50  #: requests of all workers together to poll jobs
    #: user that asks about all jobs; each user's own credential still copies and reads logs
    polling_user: str | None = None
    polling_password_file: Path | None = None  #: its password, on one line
    #: what is kept of a user, encrypted, while there is work for them: the password, or a token of
    #: the gateway
    background: Literal["password", "token"] = "password"
    token_url: HttpUrl | None = None  #: of the topology that takes tokens; default: `url`
    #: keys that verify tokens without the gateway: URL or file of a key set, or a PEM file
    token_keys: str | None = None
    #: who signs the tokens that `token_keys` verify (`iss`); required where that is a URL
    token_issuer: str | None = None
    #: for whom tokens must be (`aud`); required where `token_keys` is a URL
    token_audience: str | None = None
    #: expression for the names that proxies and tokens give users; as a cluster's
    #: `dfs.webhdfs.user.provider.user.pattern`
    user_pattern: UserPattern = HADOOP_USER_PATTERN
    #: what is taken off from the names of `serve.user_header`: `alice@EXAMPLE.COM`, `EXAMPLE\alice`
    user_realms: tuple[str, ...] = ()

    @field_validator("ca_file", "polling_password_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None and not os.access(path, os.R_OK):
            raise ValueError(f"cannot read {path}")
        return path

    @field_validator("token_keys")
    @classmethod
    def _has_keys(cls, place: str | None) -> str | None:
        if place is None or place.startswith(("http://", "https://")):
            return place
        if "://" in place:
            raise ValueError(f"{place}: write http:// or https://, or the path of a file")
        if not os.access(place, os.R_OK):
            raise ValueError(f"cannot read {place}")
        return place

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.polling_user is None) != (self.polling_password_file is None):
            raise ValueError("set polling_user and polling_password_file, or neither")
        return self

    @model_validator(mode="after")
    def _knows_its_tokens(self) -> Self:
        is_url = (self.token_keys or "").startswith(("http://", "https://"))
        if is_url and not (self.token_issuer and self.token_audience):
            raise ValueError(
                f"{self.token_keys} signs tokens for others too: set token_issuer and "
                "token_audience, as `iss` and `aud` of the tokens for this service say"
            )
        return self

    @property
    def base(self) -> str:
        """Return the URL without a slash at its end; without Knox, that of Oozie."""
        return str(self.oozie_url if self.is_direct else self.url).rstrip("/")

    @property
    def longest_answer_s(self) -> float:
        """Return after how many seconds a request has its answer, or has failed."""
        return self.connect_timeout_s + 2 * self.read_timeout_s

    @property
    def token_base(self) -> str | None:
        """Return the URL of the topology that takes tokens, without a slash at its end."""
        return str(self.token_url).rstrip("/") if self.token_url else None

    @property
    def is_plain_http_over_a_network(self) -> bool:
        """Tell whether passwords travel unencrypted to another machine; Kerberos sends none."""
        is_plain = urlsplit(self.base).scheme == "http"
        return is_plain and not leads_to_this_machine(self.base) and not self.is_direct


class StoreSettings(_SettingsSection):
    """The database."""

    url: str = ""  #: SQLAlchemy URL; default: SQLite in the state directory
    #: how long ended jobs are kept in the database; their logs and manifests stay in HDFS
    keep_jobs_h: Hours = 365 * 24
    allow_plain: bool = False  #: let traffic to a database on another machine be unencrypted

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        if not self.allow_plain and (host := plain_database_host(self.url)):
            raise ValueError(
                f"what goes to the database on {host} is not encrypted: add sslmode=verify-full "
                "(PostgreSQL) or ssl_ca=FILE (MariaDB) to the URL, or set store.allow_plain"
            )
        return self


class ServeSettings(_SettingsSection):
    """The API."""

    bind: str = "127.0.0.1:8080"
    #: another address, for monitors alone: `/healthz`, `/readyz`, `/metrics`; None: only at `bind`
    monitoring_bind: str | None = None
    processes: ThreadCount = 1  #: each with its own threads; with SQLite keep them few
    threads: ThreadCount = 32  #: of each process; a client that reads a log holds one
    #: peers whose X-Forwarded-* headers are believed: addresses or networks
    trusted_proxies: tuple[IPvAnyNetwork, ...] = (
        ip_network("127.0.0.1"),
        ip_network("::1"),
    )
    #: header with the user that a proxy has verified; only these peers are believed
    user_header: HeaderName | None = None
    user_header_from: tuple[IPvAnyNetwork, ...] = ()
    requests_per_minute: Count = 600  #: of one user; further requests are answered with 429
    #: how people and receivers of events reach this service; default: http:// and `bind`
    public_url: HttpUrl | None = None

    @property
    def addresses(self) -> str:
        """All addresses to listen on, separated by commas; that for monitors is the last one."""
        return ",".join(filter(None, (self.bind, self.monitoring_bind)))

    @property
    def is_open_to_a_network(self) -> bool:
        """Whether other machines reach the API."""
        return not all(is_loopback(bind.host) for bind in binds(self.bind) if bind.host)

    @property
    def has_proxy_elsewhere(self) -> bool:
        """Whether a proxy on another machine is believed."""
        return not all(network.is_loopback for network in self.trusted_proxies)

    @field_validator("bind", mode="before")
    @classmethod
    def _can_listen(cls, text: object) -> str:
        binds(str(text))
        return str(text)

    @field_validator("monitoring_bind", mode="before")
    @classmethod
    def _can_be_monitored(cls, text: object) -> str | None:
        if text is None:
            return None
        if len(binds(str(text))) > 1:
            raise ValueError(f"{text}: name one address")
        return str(text)


class PollingSettings(_SettingsSection):
    """How often Oozie is asked."""

    interval_s: Seconds = 5  #: at most between two checks of a job younger than an hour
    max_interval_s: Seconds = 60  #: at most between two checks of an old job
    #: job ids; 140 fill the request line of 8 KB that Knox accepts
    ids_per_request: Annotated[int, Field(gt=0, le=140)] = 100
    listed_h: Hours = 24  #: how long an ended job stays in the list of tracked jobs
    rerun_look_s: Seconds = 3600  #: between two checks whether an ended job runs again
    rerun_watch_h: Hours = 24  #: how long after its end a job is checked for reruns


class WorkerSettings(_SettingsSection):
    """The background process."""

    lease_s: Seconds = 30  #: a worker that is silent for this time loses its jobsets to others
    threads: ThreadCount = 8  #: for requests to the gateway


class CopySettings(_SettingsSection):
    """How the logs of failed jobs are saved."""

    #: `direct`: the tracker reads the aggregated files; `workflow`: Oozie runs `yarn logs`;
    #: `auto`: directly where possible, otherwise by a workflow
    strategy: Strategy = Strategy.AUTO
    direct_limit: ByteSize = ByteSize(
        1024**3
    )  #: bytes of aggregated files; `auto` copies larger logs by a workflow
    streams: ThreadCount = 4  #: logs that one worker copies directly at once
    per_user: Count = 4  #: copy workflows of one user at once
    per_gateway: Count = 20  #: copy workflows of all users at once
    tries: Count = 3  #: of one copy, before it has failed
    retry_after_s: Seconds = 10  #: before the second try; tripled before each further one
    aggregation_deadline_s: Seconds = (
        3600  #: then a log is copied even if some nodes have not delivered
    )
    #: where the cluster keeps aggregated logs: `yarn.nodemanager.remote-app-log-dir`, the layouts
    #: since Hadoop 3.3 (with buckets) and before it
    log_directories: tuple[LogDirectory, ...] = tuple(
        f"{root}/{{user}}/{layout}/{{application}}"
        for root in ("/app-logs", "/tmp/logs")  # noqa: S108
        for layout in (
            "bucket-logs-tfile/{bucket}",
            "bucket-logs-ifile/{bucket}",
            "logs",
            "logs-tfile",
            "logs-ifile",
        )
    )
    #: where logs are saved: `{home}` is the home directory that HDFS names, `{user}` its user
    directory: SavedLogs = LOGS
    retention_h: Hours = 7 * 24  #: `yarn.log-aggregation.retain-seconds`: then logs are deleted
    redact: bool = True  #: hide passwords, keys and tokens in logs that are copied directly
    #: further secrets to hide: RE2 expressions, each under a name of your own. The first group of
    #: a match is hidden; without a group, the whole match
    redact_patterns: dict[str, RedactPattern] = {}
    #: more files of rules for causes, in the form of the package's `causes/rules.yml`
    cause_rules: tuple[Path, ...] = ()
    keep_copies_h: Hours | None = None  #: age at which saved logs are removed; None: never
    queue: str | None = None  #: YARN queue of the copy workflows
    name_node: str = "hdfs://namenode"  #: Knox replaces it with the real one
    resource_manager: str = "resourcemanager"  #: likewise
    properties: dict[str, str] = {}  #: more configuration of the copy's shell action


class CredentialSettings(_SettingsSection):
    """How stored credentials are encrypted."""

    key_file: Path | None = None  #: default: `credentials.key` in the state directory


class RightsSettings(_SettingsSection):
    """Who may see other users' jobs."""

    admins: tuple[str, ...] = ()  #: users who may list all jobs, failures, workers and jobsets
    auditors: tuple[str, ...] = ()  #: users who may list all jobs, workers and jobsets

    @property
    def overseers(self) -> tuple[str, ...]:
        """Return the users who may list all jobs."""
        return *self.admins, *self.auditors


class Settings(EventsAndSinks, BaseSettings):
    """All settings. An unknown name is an error."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    state_dir: Path = Path(".tracker")  #: keys, the SQLite file, and the lock of `tracker run`
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    log_format: Literal["console", "json"] = "console"
    gateway: GatewaySettings = GatewaySettings()
    store: StoreSettings = StoreSettings()
    serve: ServeSettings = ServeSettings()
    polling: PollingSettings = PollingSettings()
    worker: WorkerSettings = WorkerSettings()
    copying: CopySettings = CopySettings()
    credentials: CredentialSettings = CredentialSettings()
    rights: RightsSettings = RightsSettings()
    exporters: ExportersSettings = ExportersSettings()
    ledger: LedgerSettings = LedgerSettings()
    checks: ChecksSettings = ChecksSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Prefer environment variables to the file."""
        return env_settings, init_settings

    @property
    def store_url(self) -> str:
        """Return the database's URL."""
        return self.store.url or f"sqlite:///{self.state_dir.absolute()}/tracker.db"

    @property
    def base_url(self) -> str:
        """Return the URL of this service for people, without a slash at its end."""
        return str(self.serve.public_url or f"http://{self.serve.bind}").rstrip("/")

    @property
    def key_file(self) -> Path:
        """Return the file of the key that encrypts credentials."""
        return self.credentials.key_file or self.state_dir / "credentials.key"


def load(file: Path | None = None) -> Settings:
    """Read the settings from a YAML file and the environment.

    Args:
        file: the YAML file; without one `config/tracker.yml` of the working directory, if there.

    Raises:
        ConfigError: an unknown name or a wrong value; says where it stands.
    """
    path = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    root = _parse(path) if path else None
    _refuse_unknown_variables()
    try:
        return Settings(**_values(root, path))
    except ValidationError as error:
        message = "\n".join(_explain(e["loc"], e["msg"], root, path) for e in error.errors())
        raise ConfigError(message) from error
    except SettingsError as error:
        section = str(error).partition('field "')[2].partition('"')[0]
        start = f"{PREFIX}{section}".upper()
        suspects = [name for name in os.environ if name.upper().startswith(start)]
        raise ConfigError(f"{', '.join(suspects)}: {error.__cause__ or error}") from error


def _parse(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot read the settings: {error}") from error


def _values(root: yaml.Node | None, path: Path | None) -> dict[str, Any]:
    if root is None:
        return {}
    try:
        values = yaml.SafeLoader("").construct_document(root)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected sections like `gateway:`, found {type(values).__name__}"
        )
    return {str(name): value for name, value in values.items()}


def _refuse_unknown_variables() -> None:
    known = {*Settings.model_fields, *_OF_THE_COMMAND}
    for variable in os.environ:
        name = variable.upper().removeprefix(PREFIX).split("__")[0].lower()
        if variable.upper().startswith(PREFIX) and name not in known:
            raise ConfigError(f"{variable}: there is no setting of this name")


def _explain(
    location: tuple[int | str, ...], message: str, root: yaml.Node | None, path: Path | None
) -> str:
    """Name the place of a wrong value: the line of the file, or the variable."""
    names = [str(part) for part in location]
    variable = PREFIX + "__".join(names[:2]).upper()
    line = _line_of(root, names)
    place = f"{path}, line {line}" if line and variable not in os.environ else variable
    return f"{place}: {'.'.join(names)}: {message}"


def _line_of(node: yaml.Node | None, names: list[str]) -> int | None:
    line = None
    for name in names:
        if not isinstance(node, yaml.MappingNode):
            break
        found = [(key, value) for key, value in node.value if key.value == name]
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
