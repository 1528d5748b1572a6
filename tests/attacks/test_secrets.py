"""120 lines with a secret as programs write them, and lines that only look so.

Half of the lines, chosen by a hash, were held out while the rules were written.
"""

from __future__ import annotations

import random
import string
import zlib
from itertools import count

from tracker_service.redaction.masking import hidden
from tracker_service.redaction.secrets import Secrets

SECRETS = Secrets({})
_SEEDS = count(1)
_WORD = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _of(length: int, letters: str = _WORD) -> str:
    chosen = random.Random(next(_SEEDS)).choices(letters, k=length - 1)
    return "".join(chosen) + "7"


#: `@` stands for the secret; before the bar stands what the secret is made of.
LINES = """
xoxb-+24|slack client ready with @
xoxp-+30|INFO posting as @ to #alerts
xapp-1-+20|SLACK_APP=@
ghp_+36|remote: https://api.github.com accepted @
gho_+36|{"login":"ci","via":"@"}
github_pat_+40|export PAT=@
ghs_+36|git clone with @ failed
glpat-+20|gitlab runner got @ from env
gldt-+20|deploy: @
AIza+35|maps key=@&zoom=3
AIza+35|GET /v1/geocode?key=@ 200
ya29.+60|credentials refreshed, bearer is ya... @
GOCSPX-+28|client: @
sk_live_+24|stripe charge with @ declined
rk_test_+24|stripe.api: @
whsec_+32|webhook endpoint uses @
hvs.+24|vault login ok: @
hvb.+60|batch @ issued
s.+24|VAULT returned @ for role etl
npm_+36|//registry.npmjs.org/ uses @
pypi-+80|twine upload as __token__ with @
dckr_pat_+27|docker.io: @
SG.+22.+43|sendgrid: @
SK^32|twilio sid @
sk-+48|openai client built with @
sk-ant-+40|LLM: @
hf_+34|downloading model with @
dop_v1_^64|doctl auth init -t @
dapi^32|databricks host ok, using @
NRAK-~27|newrelic: @
ATATT3+60|jira basic user ci with @
glsa_+32|grafana: @
shpat_^32|shop client @
#9:AA+33|telegram bot @ polls
+24|DefaultEndpointsProtocol=https;AccountName=lake;AccountKey=@==;EndpointSuffix=core.windows.net
+44|Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=@=
+43|GET https://lake.blob.core.windows.net/raw/a.csv?sv=2022-11-02&sr=b&sp=r&sig=@%3D
+43|https://lake.dfs.core.windows.net/raw?se=2026-12-01&sig=@%3D&sp=rl
+44|fs.azure.account.key.lake.dfs.core.windows.net=@==
+44|spark.hadoop.fs.azure.account.key.lake.blob.core.windows.net -> @==
+16|spark.ssl.keyStorePassword -> @
+16|Map(user -> etl, password -> @, url -> jdbc:hive2://h:10000)
+40|(spark.hadoop.fs.s3a.secret.key,@)
+40|spark.hadoop.fs.s3a.secret.key -> @
+14|(spark.jdbc.password,@)
+18|credentials=etl:@
+18|"credentials": "@"
+18|credential: @
+12|db_pass=@
+12|DB_PASS: @
+12|export SMTP_PASS=@
+12|dbpass = "@"
+12|ldap.bindpass=@
+14|CREATE ROLE etl WITH PASSWORD '@' LOGIN
+14|ALTER USER etl WITH ENCRYPTED PASSWORD '@'
+14|CREATE USER 'etl'@'%' IDENTIFIED BY '@@'
+14|SET PASSWORD FOR 'etl' = PASSWORD('@')
+14|CREATE USER etl IDENTIFIED BY @;
+20|password: |\\n  @
+20|  client_secret: >-\\n    @
+20|secret: |-\\n      @\\nname: x
+32|Set-Cookie: hadoop.auth="u=etl&p=etl&s=@"; Path=/; HttpOnly
+32|Set-Cookie: SESSION=@; Secure
^32|Cookie: JSESSIONID=@; theme=dark
+32|> cookie: sid=@
+12|+ curl -sS -u etl:@ https://gw/api
+12|curl --user etl:@ -X POST https://gw/api
+12|curl -k -u 'etl:@' https://gw
+12|Executing: curl --proxy-user svc:@ https://x
+12|mysql -h db -u etl -p@ sales < load.sql
+12|mysqldump -uetl -p@ --all-databases
+12|beeline -u jdbc:hive2://h:10000 -n etl -p @ -e 'show tables'
+12|! beeline -n etl -p '@' -f q.hql
+12|ldapsearch -x -D cn=etl,dc=x -w @ -b dc=x
+12|ldapmodify -D cn=admin -w@ -f a.ldif
^32|Authorization: Digest username="etl", realm="r", nonce="abc", uri="/", response="@"
^64|https://b.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=@
+60|https://b.s3.amazonaws.com/k?X-Amz-Security-Token=@&X-Amz-Date=1
^128|https://storage.googleapis.com/b/o?X-Goog-Signature=@
+28|https://b.s3.amazonaws.com/k?AWSAccessKeyId=a&Expires=1&Signature=@%3D
^64|Authorization: AWS4-HMAC-SHA256 Credential=a/b/s3, SignedHeaders=host, Signature=@
+24|https://hooks.slack.com/services/@
+22|htpasswd line: etl:$apr1$@
+53|user etl has $2y$@
+20|"registry.x": {"auth": "@"}
+16|PGPASSWORD=@ psql -h db
+16|export MYSQL_PWD=@
+16|sshpass -p @ ssh host
+16|redis-cli -h r -a @ ping
+16|jdbc:postgresql://h/db?user=etl&password=@
+16|jdbc:sqlserver://h;user=etl;password=@;encrypt=true
+16|mongodb://etl:@@@db:27017/x
+16|amqp://etl:@@@mq//
+16|javax.net.ssl.trustStorePassword=@
+16|-Djavax.net.ssl.keyStorePassword=@ -Xmx1g
+16|sasl.jaas.config=org.x.PlainLoginModule required username="a" password="@";
+16|<property><name>javax.jdo.option.ConnectionPassword</name><value>@</value></property>
+16|<password>@</password>
+16|--password @ --table t
+16|sqoop import --password=@ --connect x
+16|login etl password @
+40|aws_secret_access_key = @
+40|"SecretAccessKey": "@"
+40|AWS_SECRET_ACCESS_KEY=@
+60|"refresh_token": "@"
+60|access_token=@&expires_in=3600
+40|Authorization: Bearer @
+40|X-Vault-Token: @
+40|X-Auth-Token: @
+40|PRIVATE-TOKEN: @
+40|api_token: @
+32|api-key: @
+32|X-API-Key=@
^32|Ocp-Apim-Subscription-Key: @
+40|client_secret=@&grant_type=client_credentials
+40|consumerSecret: "@"
+40|'app_secret': '@'
+40|encryption_key=@
+16|passphrase is: passphrase=@
+16|{"username": "etl", "password": "@"}
+16|{\\"password\\": \\"@\\"}
+16|ssh_pass: @
"""
HARMLESS = """
16/11/22 04:12:46 INFO mapreduce.Job: map 100% reduce 0%
Password authentication is disabled on this host
cp -p /data/a /data/b
mkdir -p /user/etl/out
ssh -p 2222 host uptime
grep -w error app.log
curl -X POST -H 'Accept: text/plain' https://gw/api
mysql -h db --batch sales
beeline -u jdbc:hive2://h:10000 -e 'select 1'
tests: pass=5 fail=0 skipped=1
Token expired, asking for a new one
secret rotation finished in 3 s
val ratio -> 0.75
(spark.executor.memory,4g)
(spark.app.name,password-checker)
spark.master -> yarn
Using credentials of the current user
credentials: none
No cookie was sent
cookie policy: default
signature=SHA256withRSA
assigned key-42 to partition 7
hash-7c9e6679f90b4b1f is done
class SK extends Base
sk-learn 1.2 is imported
container_1795323187948_0002_01_000001 exited with 0
s.apache.commons.lang.StringUtils
WITH RECURSIVE t AS (SELECT 1)
ERROR: column password does not exist
GRANT SELECT ON t TO etl
Map(user -> etl, url -> jdbc:hive2://h:10000)
description: |\\n  a job that loads sales
/etc/passwd: Permission denied
AccountName=lake;EndpointSuffix=core.windows.net
hvs is not installed
ghp is a tool
response=200 in 5 ms
$1 and $2y are variables
auth: simple
pypi-mirror is up
"""


def _secret(recipe: str) -> str:
    """Make a secret: `+n` letters and digits, `^n` hexadecimal, `~n` capitals, `#n` digits."""
    kinds = {"+": _WORD, "^": _HEX, "~": string.ascii_uppercase, "#": string.digits}
    made, at = "", 0
    while at < len(recipe):
        if recipe[at] in kinds:
            end = at + 1
            while end < len(recipe) and recipe[end].isdigit():
                end += 1
            made, at = made + _of(int(recipe[at + 1 : end]), kinds[recipe[at]]), end
        else:
            made, at = made + recipe[at], at + 1
    return made


def _lines(text: str) -> list[str]:
    return [line.replace("\\n", "\n") for line in text.strip().splitlines()]


def _is_held_out(line: str) -> bool:
    return zlib.crc32(line.encode()) % 2 == 0


def _found(line: str) -> bool:
    recipe, _, form = line.partition("|")
    secret = _secret(recipe)
    if "@@@" in form:  # the first is the secret's
        text = form.replace("@@@", f"{secret}@")
    elif "@@" in form:
        text = form.replace("@@", secret)
    else:
        text = form.replace("@", secret)
    kept = hidden(SECRETS, f"before\n{text}\nafter")
    core = secret.rpartition("_")[2][-8:]
    return core not in kept and kept.startswith("before\n") and kept.endswith("\nafter")


def test_realistic_secrets_are_hidden(row):
    lines = _lines(LINES)
    missed = [line for line in lines if not _found(line)]
    held_out = [line for line in lines if _is_held_out(line)]
    missed_held_out = [line for line in missed if _is_held_out(line)]

    row("redaction", "realistic secrets", f"{len(lines) - len(missed)} of {len(lines)} hidden")
    row(
        "redaction",
        "those held out",
        f"{len(held_out) - len(missed_held_out)} of {len(held_out)} hidden",
    )
    assert len(lines) >= 120
    assert len(missed) <= 0.05 * len(lines), missed
    assert len(missed_held_out) <= 0.05 * len(held_out), missed_held_out


def test_harmless_lines_are_left_whole(row):
    lines = _lines(HARMLESS)
    changed = [line for line in lines if hidden(SECRETS, line) != line]

    row("redaction", "harmless lines", f"{len(lines) - len(changed)} of {len(lines)} whole")
    assert not changed
