from __future__ import annotations

import hashlib
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import FakeHdfs, a_copy
from tests.unit.log_files import ALL_SAMPLES, NODE, Sample, container, tfile
from tracker_service.archive.copying.direct_copy import DirectCopy
from tracker_service.archive.copying.log_files import FoundLogFiles, LogFile
from tracker_service.causes.rules import load_rules
from tracker_service.causes.scan.scanner import Scanner
from tracker_service.domain.copies import WrittenLog, part_path
from tracker_service.redaction.masking import Redaction
from tracker_service.redaction.secrets import KEY_BYTES, Secrets

BLOCK = 128 * 1024
SECRETS = Secrets({})
BODY = "MIIEpAIBAAKCAQEA7bq/abcdef+MIIEpAIBAAKCAQEA7bqabcdefMIIEpAIBAAKC\n"
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY * 20}abc=\n-----END RSA PRIVATE KEY-----\n"
HIDDEN_KEY = "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----\n"


def hidden(*pieces: bytes, secrets: Secrets = SECRETS) -> bytes:
    return b"".join(Redaction(secrets).of(pieces))


def told(text: str, secrets: Secrets = SECRETS) -> str:
    return hidden(text.encode(), secrets=secrets).decode()


def cut(text: bytes, *places: int) -> list[bytes]:
    """The text in pieces that end at these places."""
    ends = sorted(min(place, len(text)) for place in places)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("password=abc", "password=***"),
        ("db.passwd: abc", "db.passwd: ***"),
        ("DB_PASSWORD = abc", "DB_PASSWORD = ***"),
        ("userPassword => abc x", "userPassword => *** x"),
        ("password2='a b'", "password2='***'"),
        ("-Dx.password=abc -Dy", "-Dx.password=*** -Dy"),
        ('{"password": "a \\"b", "user": "x"}', '{"password": "***", "user": "x"}'),
        (r"{\"password\":\"a\\\\b\",\"n\":1}", r"{\"password\":\"***\",\"n\":1}"),
        ("{'pwd': 'a b', 'user': 'x'}", "{'pwd': '***', 'user': 'x'}"),
        ("{user=x, password=abc, n=1}", "{user=x, password=***, n=1}"),
        ("{password=abc,user=x}", "{password=***,user=x}"),
        ("jdbc:x;password=a,b)c;db=y", "jdbc:x;password=***;db=y"),
        ("/db?user=x&password=abc&ssl=true", "/db?user=x&password=***&ssl=true"),
        ("password=&pwd=abc", "password=&pwd=***"),
        ("pwd=abc PWD=/srv", "pwd=*** PWD=/srv"),
        ("Server=h;UID=u;PWD=abc;", "Server=h;UID=u;PWD=***;"),
        (
            "<name>javax.jdo.password</name>\n  <value>a b</value>",
            "<name>javax.jdo.password</name>\n  <value>***</value>",
        ),
        ("<db-password>abc</db-password>", "<db-password>***</db-password>"),
        ("sqoop --password abc --table t", "sqoop --password *** --table t"),
        ("keytool -storepass 'a b' -v", "keytool -storepass '***' -v"),
        ("[--password, abc, --table, t]", "[--password, ***, --table, t]"),
        ("['--password', 'a b', '-t']", "['--password', '***', '-t']"),
        ("  --password\n      abc\n", "  --password\n      ***\n"),
        ("machine h login u password abc", "machine h login u password ***"),
        ("CREATE USER x IDENTIFIED BY 'abc'", "CREATE USER x IDENTIFIED BY '***'"),
        ("mysql://user:p@ss,w#rd@host:3306/db", "mysql://user:***@host:3306/db"),
        ("jdbc:oracle:thin:scott/tiger@//h:1521", "jdbc:oracle:thin:scott/***@//h:1521"),
        ("s3n://AKIAIOSFODNN7EXAMPLE:abc@bucket", "s3n://***@bucket"),
        ("id AKIAIOSFODNN7EXAMPLE.", "id AKIA***."),
        ("AWS_SECRET_ACCESS_KEY=abc/d+e", "AWS_SECRET_ACCESS_KEY=***"),
        ("fs.s3a.secret.key : abc", "fs.s3a.secret.key : ***"),
        ("fs.azure.account.key.a.blob.net=abc==", "fs.azure.account.key.a.blob.net=***"),
        ("Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=", "Authorization: Basic ***"),
        ('{"Authorization": "Bearer abc"}', '{"Authorization": "Bearer ***"}'),
        ("got bearer a1b2c3d4e5f6", "got bearer ***"),
        ("jwt eyJhbGciOiJIUzI1.eyJzdWIiOiIx.SflKx-w.", "jwt eyJ***"),
        ("?op=OPEN&delegation=HAAEZ3Vlc3Q&x=1", "?op=OPEN&delegation=***&x=1"),
        ('{"Token":{"urlString":"HAAEZ3Vlc3Q"}}', '{"Token":{"urlString":"***"}}'),
        ('hadoop.auth="u=guest&s=abc"; Path=/', 'hadoop.auth="***"; Path=/'),
        ("api_token=a1b2c3d4 x", "api_token=*** x"),
        ("http://h/x?token=abc&y=1", "http://h/x?token=***&y=1"),
    ],
)
def test_of_a_secret_only_what_names_it_is_written(text, written):
    assert told(f"before {text}\nafter\n") == f"before {written}\nafter\n"


@pytest.mark.parametrize(
    "text",
    [
        "hdfs://nn:8020/user/guest@EXAMPLE.COM",
        "Access denied for user 'x'@'h' (using password: YES)",
        "ORA-01017: invalid username/password; logon denied",
        "cat: /etc/passwd: Permission denied",
        "Unrecognized argument: --password\n26/11/22 04:12:46 ERROR",
        "FATAL: password authentication failed for user x",
        "at x.PasswordAuth.check(PasswordAuth.java:22)",
        "INFO BaseContainerTokenSecretManager: Rolling master-key",
        "Bearer authentication failed, Basic authentication too",
        "ParseException line 1:7 unexpected token: EOF",
        'export PWD="/srv/nm-local" OLDPWD=/root',
        "password=******** passwd: null secret=${db.secret}",
        "sensitive keys :\n      secret$\n      password$\n",
        "Expected -----BEGIN PRIVATE KEY----- but got text",
    ],
)
def test_what_only_looks_like_a_secret_passes(text):
    assert told(text) == text


@pytest.mark.parametrize("sample", ALL_SAMPLES, ids=str)
def test_recorded_logs_pass_byte_by_byte(sample: Sample):
    assert hidden(sample.text) == sample.text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (KEY, HIDDEN_KEY),
        (KEY.replace("\n", "\r\n"), HIDDEN_KEY.replace("\n", "\r\n")),
        (KEY.replace("\n", "\nStdoutput "), HIDDEN_KEY.replace("\n", "\nStdoutput ")),
        (KEY.replace("\n", "\\n"), HIDDEN_KEY.replace("\n", "\\n")),
        (KEY.replace("RSA", "OPENSSH"), HIDDEN_KEY.replace("RSA", "OPENSSH")),
    ],
)
def test_a_private_key_is_hidden_over_all_its_lines(text, written):
    assert told(f"{text} after") == f"{written} after"


def test_of_a_private_key_without_an_end_all_that_is_there_is_hidden_and_what_follows_passes():
    half = KEY[:700]

    assert told(half) == "-----BEGIN RSA PRIVATE KEY-----***"
    assert (
        told(f"{half}\nat x.Main.main\n") == "-----BEGIN RSA PRIVATE KEY-----***\nat x.Main.main\n"
    )


def test_a_private_key_without_an_end_hides_only_so_much():
    endless = f"-----BEGIN PRIVATE KEY-----\n{BODY * 10_000}"

    written = told(endless)

    assert written.startswith("-----BEGIN PRIVATE KEY-----***")
    assert len(endless) - len(written) == pytest.approx(KEY_BYTES, abs=100)


def test_secrets_are_counted_by_the_names_of_their_patterns():
    redaction = Redaction(SECRETS)

    for text in ("password=a passwd=b password=***", "x://u:p@h", KEY, "no secret"):
        assert b"".join(redaction.of([text.encode()]))

    assert redaction.counts == {"password": 2, "url": 1, "private-key": 1}


def test_a_site_has_patterns_of_its_own_of_which_the_first_group_is_hidden():
    own = Secrets({"ticket": r"ticket (\w+)!", "card": r"\b[0-9]{16}\b", "nothing": r"\b"})
    redaction = Redaction(own)

    written = b"".join(redaction.of([b"ticket abc! card 1234567812345678 password=x"]))

    assert written == b"ticket ***! card *** password=***"
    assert redaction.counts == {"ticket": 1, "card": 1, "password": 1}


def test_bytes_that_are_no_text_pass_unchanged():
    data = bytes(range(256)) * 2000

    assert hidden(data + b"password=\xff\xfe\x80 " + data) == data + b"password=*** " + data


def test_a_secret_of_any_length_is_hidden_to_its_end():
    long = b"Aa1-" * BLOCK

    assert hidden(b"password=" + long + b" after") == b"password=*** after"


# In a copy


def copied(redaction: Redaction | None, **logs: bytes) -> tuple[bytes, WrittenLog]:
    """What a direct copy of some logs writes, and what it tells of it."""
    hdfs, copy = FakeHdfs(), a_copy()
    hdfs.files[f"/app-logs/{NODE}"] = tfile([container(1, **logs)])
    files = (LogFile(f"/app-logs/{file.name}", file) for file in hdfs.list("/app-logs"))
    found = FoundLogFiles(directories=("/app-logs",), files=tuple(files))
    scanner = Scanner(load_rules())
    whole = DirectCopy(hdfs, copy, found, 10_000, Event(), scanner, redaction).write()
    return hdfs.files[part_path(copy)], whole


def test_a_copy_has_no_secrets_the_lengths_that_yarn_told_and_no_gap():
    text, whole = copied(Redaction(SECRETS), stderr=b"password=abc\n", stdout=b"pass")

    assert b"LogLength:13\nLogContents:\npassword=***\n\nEnd of LogType:stderr" in text
    assert b"LogContents:\npass\n" in text  # no secret begins in one log and ends in another
    assert (whole.length, whole.sha256) == (len(text), hashlib.sha256(text).hexdigest())
    assert (whole.contents.redacted, whole.contents.gaps) == ({"password": 1}, ())


def test_where_it_is_off_a_copy_is_as_yarn_prints_it_and_nothing_is_counted():
    text, whole = copied(None, stderr=b"password=abc\n")

    assert b"password=abc" in text
    assert whole.contents.redacted is None


# Where the pieces of a log end

FILL = st.sampled_from(
    ["x", "\n", "INFO a=b c: d\n", "\x00", "é", "://h:1/", "-----", "eyJ", "pass"]
)
NAMED = st.sampled_from(
    ["password=%s ", '"passwd": "%s"', "--password %s ", "x://u:%s@h", "<password>%s</password>"]
)
VALUE = st.text("abcdefgh0123456789", min_size=12, max_size=3000)
NEAR_A_BORDER = st.integers(-5000, 5000)


@given(
    fill=FILL,
    named=NAMED,
    value=VALUE,
    offset=NEAR_A_BORDER,
    places=st.lists(st.integers(0, 2 * BLOCK + 10_000), max_size=6),
)
def test_a_secret_across_any_border_is_hidden_and_all_else_is_as_it_was(
    fill, named, value, offset, places
):
    before = (fill.encode() * (BLOCK + offset))[: BLOCK + offset] + b"\n"
    after = b"\n" + (fill.encode() * BLOCK)[:BLOCK]
    text = before + (named % value).encode() + after

    assert hidden(*cut(text, *places)) == before + (named % "***").encode() + after


@given(offset=st.integers(-14_000, 100), places=st.lists(st.integers(0, 2 * BLOCK), max_size=4))
def test_a_private_key_across_any_border_is_hidden(offset, places):
    before, after = b"." * (BLOCK + offset), b"." * BLOCK
    text = before + KEY.replace(BODY, BODY * 10).encode() + after

    assert hidden(*cut(text, *places)) == before + HIDDEN_KEY.encode() + after


@given(
    text=st.lists(
        st.sampled_from(
            [*"aé\n =:&\"'\\<", "password", "passwd=", "x://u:p@h ", KEY[:300], "--", "eyJ", "\x00"]
        ),
        max_size=60,
    ),
    repeated=st.integers(1, 3000),
    places=st.lists(st.integers(0, 3 * BLOCK), max_size=10),
)
def test_what_is_written_does_not_depend_on_the_pieces(text, repeated, places):
    data = ("".join(text).encode() * repeated)[: 3 * BLOCK]

    assert hidden(*cut(data, *places)) == hidden(data)


@pytest.mark.parametrize("places", range(-3, 4))
def test_a_word_goes_on_across_the_border_of_what_is_held(places):
    held = 4 * 1024
    text = b"." * (BLOCK - held - 1 + places) + b"xAKIAIOSFODNN7EXAMPLE " + b"." * held

    assert hidden(text) == text


def test_a_log_of_single_bytes_is_written_as_one_of_one_piece():
    data = KEY.encode() + b"x" * BLOCK + b"password=abc"

    assert hidden(*(data[n : n + 1] for n in range(len(data)))) == hidden(data)


def test_no_more_than_some_blocks_are_held_of_a_log_that_passes():
    written = 0
    behind = []

    def pieces():
        for n in range(1, 40):
            yield b"-----BEGIN PRIVATE KEY-----\n" + b"x y z!\n" * 10_000
            behind.append(n * 70_028 - written)

    for piece in Redaction(SECRETS).of(pieces()):
        written += len(piece)

    assert max(behind) < 3 * BLOCK
