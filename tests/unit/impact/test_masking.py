"""What is masked, and what stays to be seen: a table of the forms that secrets come in."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
import yaml

from pipelines.impact import compare
from pipelines.impact.masking import Masker
from pipelines.impact.model import ApplicationImpact, Gathered, ObjectChange
from pipelines.impact.objects import ObjectReader, RenderedObject

H = "hunter2"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "data": {"login": "aHVudGVyMg=="}}
PLAIN = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web"}, "stringData": {"user": H}}
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{H}\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.aHVudGVyMg"


def document(kind: str = "Custom", **fields: Any) -> dict[str, Any]:
    """Return an object."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web"}} | fields


def config(text: str, name: str = "app") -> dict[str, Any]:
    """Return a ConfigMap with a text in it."""
    return document("ConfigMap", data={name: text})


def container(**fields: Any) -> dict[str, Any]:
    """Return a Deployment with one container."""
    return document("Deployment", spec={"template": {"spec": {"containers": [{"name": "web", **fields}]}}})


def args(*words: str) -> dict[str, Any]:
    """Return a Deployment whose container has these arguments."""
    return container(args=list(words))


def env(name: str, value: str) -> dict[str, Any]:
    """Return a Deployment whose container has this variable."""
    return container(env=[{"name": name, "value": value}, {"name": "MODE", "value": "fast"}])


def b64(text: str | bytes) -> str:
    """Return Base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def read(value: dict[str, Any], key: bytes = b"key") -> RenderedObject:
    """Return an object as Helm's output is read."""
    (item,) = ObjectReader(key).objects(f"---\n{yaml.dump(value, Dumper=yaml.CSafeDumper)}").values()
    return item


FORMS: list[tuple[str, dict[str, Any], str, str]] = [
    # form, object, what must not be shown, what must be
    ("Secret.data", SECRET, "aHVudGVy", "login:"),
    ("Secret.stringData", PLAIN, H, "user:"),
    ("stringData of another kind", document("SecretClaim", stringData={"user": H}), H, "user:"),
    ("Secret.data that is no mapping", document("Secret", data=H), H, "data:"),
    (
        "Secret in a List",
        document("List", items=[SECRET, document("Service", spec={"port": 80})]),
        "aHVudGVy",
        "port: 80",
    ),
    ("Secret in a List in a List", document("List", items=[document("List", items=[PLAIN])]), H, "user:"),
    (
        "SecretList without kinds",
        document("SecretList", items=[{"data": {"login": "aHVudGVyMg=="}}]),
        "aHVudGVy",
        "login:",
    ),
    (
        "Secret in last-applied",
        document(
            metadata={
                "name": "web",
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(PLAIN)},
            }
        ),
        H,
        "stringData",
    ),
    ("Secret in YAML in a ConfigMap", config(f"a: 1\n---\n{yaml.safe_dump(PLAIN)}"), H, "stringData"),
    ("Secret in JSON in JSON", config(json.dumps({"manifest": json.dumps(PLAIN), "port": 80})), H, "80"),
    ("release of Helm", document("Secret", data={"release": b64(b64(H * 9))}), b64(b64(H * 9))[:20], "release:"),
    ("pretty JSON", config(json.dumps({"password": H, "user": "me"}, indent=2)), H, '"user": "me"'),
    ("compact JSON", config(json.dumps({"password": H, "user": "me"}, separators=(",", ":"))), H, '"user":"me"'),
    ("JSON with tabs", config(json.dumps({"db": {"password": H}, "user": "me"}, indent="\t")), H, "me"),
    ("JSON lines", config(f'{{"password": "{H}"}}\n{{"user": "me"}}'), H, "me"),
    ("broken JSON", config(f'{{\n  "user": "me",\n  "password":\n    "{H}",,\n}}'), H, "me"),
    ("JSON with a key that is twice", config(f'{{"password": "{H}", "password": "x"}}'), H, "password"),
    ("number in JSON", config('{"pin": {"password": 271828}, "port": 80}'), "271828", "80"),
    ("list under a name", config(json.dumps({"tokens": [H, "x"], "user": "me"})), H, "me"),
    ("mapping under a name", config(json.dumps({"credentials": {"first": H}, "user": "me"})), H, "me"),
    (
        "name and value in JSON",
        config(json.dumps([{"name": "db-password", "value": H}, {"name": "a", "value": "b"}])),
        H,
        '"b"',
    ),
    ("Key and Value in JSON", config(json.dumps([{"Key": "DbPassword", "Value": H}])), H, "DbPassword"),
    ("YAML", config(f"db:\n  user: me\n  password: {H}\n"), H, "user: me"),
    ("YAML block", config(f"user: me\npassword: |\n  {H}\n  {H}\nport: 80\n"), H, "port: 80"),
    ("YAML on the next line", config(f"password:\n  {H}\nport: 80\n"), H, "port: 80"),
    ("YAML flow", config(f"db: {{password: {H}, user: me}}\n"), H, "user: me"),
    ("YAML alias", config(f"shared: &x {H}\npassword: *x\nport: 80\n"), H, "port: 80"),
    ("comment in YAML", config(f"port: 80  # password: {H}\nuser: me\n"), H, "user: me"),
    ("properties in YAML", config(f"app.properties: |\n  db.password={H}\n  db.user=me\n"), H, "db.user=me"),
    ("broken YAML", config(f"a: [\npassword: |\n  {H}\nport: 80\n"), H, "port: 80"),
    ("properties", config(f"spring.datasource.password = {H}\nspring.datasource.username = me\n"), H, "username = me"),
    ("properties with a colon", config(f"user=me\nsecretKey:{H}\n"), H, "user=me"),
    ("properties with a space", config(f"port 6379\nrequirepass {H}\n"), H, "port 6379"),
    ("properties that go on", config(f"password=a\\\n  {H}\nuser=me\n"), H, "user=me"),
    ("ini", config(f"[db]\npassword = {H}\nuser = me\n"), H, "user = me"),
    ("env file", config(f"export DB_PASSWORD='{H}'\nexport MODE=fast\n"), H, "MODE=fast"),
    ("TOML", config(f'[db]\npassword = """\n{H}\n"""\nuser = "me"\n'), H, 'user = "me"'),
    ("TOML list", config(f'tokens = [\n"{H}",\n]\nuser = "me"\n'), H, 'user = "me"'),
    ("XML element", config(f"<a><password>{H}</password><user>me</user></a>"), H, "<user>me</user>"),
    (
        "XML element over lines",
        config(f"<a>\n <password>\n{H}\n </password>\n <user>me</user>\n</a>"),
        H,
        "<user>me</user>",
    ),
    ("XML attribute", config(f'<db user="me" password="{H}"/>'), H, 'user="me"'),
    (
        "XML name and value",
        config(f'<a><add value="{H}" key="DbPassword"/><add key="b" value="c"/></a>'),
        H,
        'value="c"',
    ),
    ("XML entry", config(f'<p><entry key="password">{H}</entry><entry key="b">c</entry></p>'), H, ">c<"),
    ("XML siblings", config(f"<p><name>db.password</name>\n<value>{H}</value></p>"), H, "db.password"),
    ("list of properties", config(f"<d><key>password</key><string>{H}</string></d>"), H, "password"),
    ("login without a protocol", env("DB", f"//me:{H}@db.example/x"), H, "@db.example/x"),
    ("value after a reference", config(f"password=${{A}} {H}\nport=80\n"), H, "port=80"),
    ("XML CDATA", config(f"<a><password><![CDATA[{H}]]></password><user>me</user></a>"), H, "me"),
    ("XML comment", config(f"<a><!-- password: {H} --><user>me</user></a>"), H, "me"),
    ("broken XML", config(f"<a><password>\n{H}\n</password>\n<user>me</user>"), H, "me"),
    ("code", config(f"define('DB_PASSWORD', '{H}');\ndefine('DB_USER', 'me');"), H, "'me'"),
    ("SQL", config(f"ALTER USER me IDENTIFIED BY '{H}';\nSELECT 1;"), H, "SELECT 1;"),
    ("shell heredoc", config(f"#!/bin/sh\nPASSWORD=$(cat <<EOF\n{H}\nEOF\n)\necho done\n"), H, "echo done"),
    ("shell default", config(f"#!/bin/sh\nrun ${{PASSWORD:-{H}}}\necho done\n"), H, "echo done"),
    (
        "piped into a login",
        container(command=["sh", "-c", f"echo {H} | docker login -u me --password-stdin r"]),
        H,
        "sh",
    ),
    ("netrc", config(f"machine git.example\nlogin me\npassword {H}\n"), H, "login me"),
    ("netrc in one line", config(f"machine git.example login me password {H}"), H, "login me"),
    ("npmrc", config(f"//npm.example/:_authToken={H}\nstrict-ssl=true\n"), H, "strict-ssl=true"),
    ("pgpass", config(f"db.example:5432:shop:me:{H}\n"), H, "db.example:5432:shop:me"),
    ("htpasswd", config("me:$apr1$abcdefgh$hunter2hunter2\n"), H, "me:"),
    (
        "dockerconfigjson",
        config(json.dumps({"auths": {"r.example": {"auth": b64(f"me:{H}")}}})),
        b64(f"me:{H}"),
        "r.example",
    ),
    ("kubeconfig", config(f"users:\n- name: me\n  user: {{token: {H}, client-key-data: {b64(H)}}}\n"), H, "name: me"),
    ("HTTP header", config(f"GET / HTTP/1.1\nAuthorization: Digest {H}\nAccept: text/html"), H, "Accept: text/html"),
    ("prose", config(f"hello\nthe password is {H}\n"), H, "hello"),
    ("private key", config(PEM), H, "app:"),
    ("private key without an end", config(PEM[:40]), H, "app:"),
    ("private key in JSON", config(json.dumps({"pem": PEM, "user": "me"})), H, "me"),
    ("JWT", config(f"x = {JWT}\ny = 1"), JWT[25:], "y = 1"),
    ("key of AWS", config("x = AKIAIOSFODNN7EXAMPLE\ny = 1"), "IOSFODNN7", "y = 1"),
    ("token of GitHub", env("SOURCE", "ghp_" + "hunter2" * 5), H, "fast"),
    ("Base64 of a text", config(b64(f"user: me\npassword: {H}\n")), b64(f"user: me\npassword: {H}\n")[:20], "app:"),
    ("Base64 in YAML", config(f"x: {b64(f'password={H}')}\ny: 1\n"), b64(f"password={H}")[:16], "y: 1"),
    (
        "Base64 in lines",
        config("\n".join(b64(f"user: me\npassword: {H}\n")[i : i + 12] for i in range(0, 40, 12))),
        b64(f"user: me\npassword: {H}\n")[12:24],
        "app:",
    ),
    ("compressed", config(b64(gzip.compress(H.encode()))), b64(gzip.compress(H.encode()))[:20], "app:"),
    ("binaryData", document("ConfigMap", binaryData={"a.bin": b64(H)}), b64(H), "a.bin"),
    ("entry named like a secret", config(H, "SMTP_PASSWORD"), H, "SMTP_PASSWORD"),
    ("env", env("DB_PASSWORD", H), H, "value: fast"),
    ("env, value first", container(env=[{"value": H, "name": "api.key"}]), H, "api.key"),
    ("env that looks masked", env("DB_PASSWORD", f"(secret {H})"), H, "fast"),
    ("env with options", env("JAVA_OPTS", f"-Xmx1g -Ddb.password={H}"), H, "-Xmx1g"),
    ("--password=", args(f"--db-password={H}", "--port=80"), H, "--port=80"),
    ("--password VALUE", args("--password", H, "--port", "80"), H, "--port"),
    ("--password VALUE in one text", args(f"run --password {H}"), H, "run --password"),
    ("-pVALUE", args(f"-p{H}", "-port=80"), H, "-port=80"),
    ("-pVALUE of digits", args("-p271828", "-p", "8080:80"), "271828", "8080:80"),
    ("-p VALUE", args("-p", H, "-v"), H, "-v"),
    ("-pVALUE in a shell", container(command=["sh", "-c", f"mysql -uroot -p'{H}' shop"]), H, "mysql -uroot"),
    ("-P VALUE in a shell", container(command=["sh", "-c", f"mosquitto_pub -P {H} -p 1883"]), H, "-p 1883"),
    ("-u user:password", container(command=["curl", "-u", f"me:{H}", "h.example"]), H, "me:"),
    ("-uuser:password", container(command=["sh", "-c", f"curl -ume:{H} h.example"]), H, "h.example"),
    ("--user=user:password", args(f"--user=me:{H}", "h.example"), H, "h.example"),
    ("-a of redis-cli", container(command=["redis-cli", "-a", H, "ping"]), H, "ping"),
    ("word after a word", container(command=["redis-cli", "config", "set", "requirepass", H]), H, "config"),
    (
        "Authorization of curl",
        container(command=["curl", "-H", f"Authorization: Bearer {H}", "h.example"]),
        H,
        "h.example",
    ),
    ("Bearer in a shell", container(command=["sh", "-c", f'curl -H "X: Bearer {H}" h.example']), H, "h.example"),
    ("X-Api-Key", container(command=["curl", "-H", f"X-Api-Key: {H}", "h.example"]), H, "h.example"),
    ("login in an address", env("DB", f"postgres://me:{H}@db.example/shop"), H, "@db.example/shop"),
    ("password with @ and /", env("DB", f"postgres://me:a@b/{H}@db.example/shop"), H, "@db.example/shop"),
    ("login without a user", env("CACHE", f"redis://:{H}@cache.example:6379"), H, "@cache.example:6379"),
    ("token in an address", env("SOURCE", f"https://{H}@git.example/x"), H, "@git.example/x"),
    ("login without a scheme", env("DB", f"me:{H}@tcp(db.example:3306)/shop"), H, "@tcp(db.example:3306)/shop"),
    ("JDBC", env("DB", f"jdbc:postgresql://db.example/shop?user=me&password={H}"), H, "db.example/shop?user=me"),
    ("JDBC of Oracle", env("DB", f"jdbc:oracle:thin:me/{H}@//db.example:1521/x"), H, "db.example:1521"),
    ("connection string", env("DB", f"Server=db.example;User Id=sa;Password={H};"), H, "Server=db.example"),
    ("AccountKey", env("STORE", f"AccountName=a;AccountKey={H}==;EndpointSuffix=x"), H, "AccountName=a"),
    ("shared access signature", env("STORE", f"https://s.example/c?sv=1&sig={H}%3D"), H, "s.example/c?sv=1"),
    ("custom resource", document(spec={"auth": {"user": "me", "password": H}, "replicas": 2}), H, "replicas: 2"),
    (
        "parameters",
        document(spec={"parameters": [{"key": "db_password", "value": H}, {"key": "a", "value": "b"}]}),
        H,
        "value: b",
    ),
    (
        "default of a schema",
        document(
            "CustomResourceDefinition",
            spec={
                "openAPIV3Schema": {
                    "properties": {"password": {"type": "string", "default": H, "description": "The password to use"}}
                }
            },
        ),
        H,
        "The password to use",
    ),
    ("Secret in a text that cannot be read", config(f"{{{{ if x }}}}\nkind: Secret\ndata:\n  user: {H}\n"), H, "app:"),
    (
        "stringData in a text that cannot be read",
        config(f"{{{{ if x }}}}\nstringData:\n  user: {H}\nport: 80\n"),
        H,
        "port: 80",
    ),
    (
        "name and value in a text that cannot be read",
        config(f"{{{{ if x }}}}\n- name: DB_PASSWORD\n  value: {H}\n- name: MODE\n  value: fast\n"),
        H,
        "value: fast",
    ),
    ("patch", document(spec={"patch": json.dumps([{"op": "add", "path": "/spec/password", "value": H}])}), H, "add"),
    ("pair in JSON", config(json.dumps({"headers": [["X-Auth-Token", H], ["a", "b"]]})), H, "b"),
    ("section of an ini", config(f"[credentials]\nme = {H}\n[db]\nport = 80\n"), H, "port = 80"),
    ("column", config(f"user,password\nme,{H}\n"), H, "user,password"),
    ("key below what it is for", config(f"encryption:\n  key: {H}\n  bits: 256\n"), H, "bits: 256"),
    ("JSON with escapes in its key", config(f'{{"pass\\u0077ord": "{H}", "a": 1}}'), H, '"a": 1'),
    ("entity of XML", config(f'<!DOCTYPE a [<!ENTITY pw "{H}">]><a><password>&pw;</password></a>'), H, "app:"),
    ("block of HCL", config(f"private_key = <<-EOT\n{H}\nEOT\nport = 80"), H, "port = 80"),
    (
        "Base64 of UTF-16",
        config(b64(f"password={H}".encode("utf-16-le"))),
        b64(f"password={H}".encode("utf-16-le"))[:20],
        "app:",
    ),
    ("/password:VALUE", args(f"/password:{H}", "/port:80"), H, "/port:80"),
    ("variable of PowerShell", config(f"$Password = ConvertTo-SecureString '{H}'\nStart-Web"), H, "Start-Web"),
    (
        "SQL, values on the next line",
        config(f"INSERT INTO u (name, password)\nVALUES ('me', '{H}');\nSELECT 1;"),
        H,
        "SELECT 1",
    ),
    ("SQL without columns", config(f"REPLACE INTO u VALUES (1, ';', '{H}'), (2, 'a', 'b');\nSELECT 1;"), H, "SELECT 1"),
    ("SQL, COPY", config(f"COPY u (name, hash) FROM stdin;\nme\t{H}\nyou\tx\n\\.\nSELECT 1;\n"), H, "SELECT 1"),
    ("words of htpasswd", container(command=["/usr/bin/htpasswd", "-b", "-c", "/f", "me", H]), H, "/f"),
    ("words of htpasswd in args", container(command=["htpasswd"], args=["-bc", "/f", "me", H]), H, "htpasswd"),
    ("words of vault", container(command=["vault", "login", H], name="x"), H, "vault"),
    ("words of rabbitmqctl", container(command=["rabbitmqctl", "add_user", "me", H]), H, "rabbitmqctl"),
    ("mc in a shell", container(command=["sh", "-c", f"mc alias set x http://h me {H}; mc ls x"]), H, "; mc ls x"),
    ("literals of kubectl", args("--from-literal", f"a={H}", f"--from-literal=b={H}", "--port=80"), H, "--port=80"),
    ("name= VALUE", args("PASSWORD=", H, "x"), H, "PASSWORD="),
    (
        "-password in a shell",
        container(command=["sh", "-c", f"influx -username me -password '{H}'"]),
        H,
        "-username me",
    ),
    ("-Password of PowerShell", config(f'Add-User -Password "{H}"\nStart-Web'), H, "Start-Web"),
    ("-p=VALUE", args(f"-p={H}", "-p=8080", "-p=/x"), H, "-p=8080"),
    ("-U user%VALUE", container(command=["sh", "-c", f"smbclient //h/x -U me%{H}"]), H, "me%"),
    ("user/VALUE of sqlplus", container(command=["sh", "-c", f"sqlplus -s me/{H}@db"]), H, "@db"),
    ("cookie of curl", container(command=["sh", "-c", f"curl --cookie 'session={H}' h.example"]), H, "curl"),
    ("written to a file", container(command=["sh", "-c", f"echo '{H}' > /run/secrets/db"]), H, "/run/secrets/db"),
    ("heredoc to a file", config(f"cat > /etc/password <<EOF\n{H}\nEOF\necho done\n"), H, "echo done"),
    ("piped into passwd", container(command=["sh", "-c", f"(echo {H}; echo {H}) | smbpasswd -s -a me"]), H, "sh"),
    ("appended", container(command=["sh", "-c", f"PASSWORD+={H} run"]), H, "PASSWORD+="),
    ("column after a comment", config(f"# users\n\nuser,password\nme,{H}\n"), H, "user,password"),
    ("users of Redis", config(f"user default on >{H} ~* +@all\nport 1\n"), H, "port 1"),
    ("users of Java", config(f'Server {{ DigestLoginModule required user_super="{H}"; }};'), H, "required"),
    ("users of pgbouncer", config(f'"me" "{H}"\n'), H, '"me"'),
    ("communities of SNMP", config(f"com2sec a default {H}\nport 1\n"), H, "port 1"),
    ("private key of ssh2", config(PEM.replace("-----", "---- ").replace("----  ", "---- ")), H, "app:"),
    ("escaped name in JSON", config(f'{{"\\u0070assword": "{H}", "a": 1}}'), H, '"a": 1'),
    ("full-width name", config(f"\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44: {H}\nport: 80\n"), H, "port: 80"),
    ("escaped for an address", config(f"next = /login?password%3D{H}\nport = 80\n"), H, "port = 80"),
    ("key in an address", env("MAPS", f"https://h.example/js?v=1&key={H}&x=2"), H, "&x=2"),
    ("webhook of Teams", env("HOOK", f"https://a.webhook.office.com/webhookb2/{H}/x"), H, "webhookb2/"),
    ("token of Telegram", env("BOT", "123456789:AA" + "hunter2" * 5), H, "fast"),
    ("secureJsonData", config(yaml.safe_dump({"url": "x", "secureJsonData": {"header": H}})), H, "url: x"),
    ("YAML in XML CDATA", config(f"<c><y><![CDATA[\ndb:\n  password: {H}\n  user: me\n]]></y></c>"), H, "user: me"),
    (
        "JSON in JSON in JSON",
        config(json.dumps({"a": json.dumps({"b": json.dumps({"token": H, "user": "me"})})})),
        H,
        "me",
    ),
    (
        "YAML in JSON in YAML",
        config(yaml.safe_dump({"a": json.dumps({"b": f"token: {H}\nuser: me\n"})})),
        H,
        "user: me",
    ),
    (
        "npmrc with a login",
        config(f"//npm.example/:_auth={b64(f'me:{H}')}\nstrict-ssl=true\n"),
        b64(f"me:{H}"),
        "strict-ssl",
    ),
    ("netrc by default", config(f"default login me password {H} account x"), H, "default login me"),
    ("pgpass with an address of IPv6", config(f"\\:\\:1:5432:shop:me:{H}\n"), H, "5432:shop:me"),
    ("dockercfg", config(json.dumps({"r.example": {"auth": b64(f"me:{H}"), "email": "a"}})), b64(f"me:{H}"), '"a"'),
    ("connection string of ODBC", env("DB", f"Driver={{ODBC 17}};UID=sa;PWD={{{H};x}};Encrypt=yes"), H, "UID=sa"),
    ("connection string of libpq", env("DB", f"host=db.example password='{H} x' dbname=shop"), H, "host=db.example"),
    ("connection string of a bus", env("BUS", f"Endpoint=sb://h.example/;SharedAccessKey={H}="), H, "h.example"),
    ("connection string with commas", env("CACHE", f"cache.example:6380,password={H},ssl=True"), H, "cache.example"),
    ("--password= in a shell", container(command=["sh", "-c", f"exec app --password={H} --port 80"]), H, "exec app"),
    ("variable before a command", container(command=["sh", "-c", f"PGPASSWORD={H} psql shop"]), H, "sh"),
    ("pass: of openssl", container(command=["openssl", "rsa", "-passin", f"pass:{H}", "-in", "/k"]), H, "/k"),
    (
        "into Base64 and a file",
        container(command=["sh", "-c", f"printf %s {H} | base64 > /tmp/token"]),
        H,
        "/tmp/token",
    ),
    ("here string", container(command=["sh", "-c", f"docker login --password-stdin <<< {H}"]), H, "docker login"),
    ("body of curl", container(command=["sh", "-c", f'curl -d \'{{"password":"{H}"}}\' h']), H, "curl"),
    ("variables as texts", document(spec={"environment": [f"DB_PASSWORD={H}", "MODE=fast"]}), H, "MODE=fast"),
    ("variables as pairs", document(spec={"env": [["DB_PASSWORD", H], ["MODE", "fast"]]}), H, "fast"),
    ("Base64 of JSON", config(b64(f'{{"password":"{H}"}}')), b64(f'{{"password":"{H}"}}')[:20], "app:"),
    ("Base64 in Base64", config(b64(b64(f"password={H}"))), b64(b64(f"password={H}"))[:20], "app:"),
    ("hexadecimal", config(f"x = {f'password={H}'.encode().hex()}\ny = 1\n"), f"password={H}".encode().hex(), "y = 1"),
    ("private key in one line", env("K", PEM.replace("\n", "\\n")), H, "fast"),
    (
        "private key of OpenSSH in YAML",
        config(yaml.safe_dump({"pem": PEM.replace("RSA", "OPENSSH"), "port": 80})),
        H,
        "port: 80",
    ),
    ("private key of PGP", config(PEM.replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK")), H, "app:"),
    ("properties over three lines", config(f"password=a\\\n  b\\\n  {H}\nuser=me\n"), H, "user=me"),
    ("name over two lines", config(f"db.passw\\\n   ord={H}\nuser=me\n"), H, "user=me"),
    (
        "extraheader of Git",
        config(f"[http]\n\textraheader = AUTHORIZATION: basic {H}\n[user]\n\tname = me\n"),
        H,
        "name = me",
    ),
    ("TOML in one line", config(f'db = {{ user = "me", password = "{H}" }}\nport = 80\n'), H, "port = 80"),
    ("TOML list of tables", config(f'[[users]]\nname = "me"\npassword = "{H}"\n[x]\nport = 80\n'), H, "port = 80"),
    ("variable of HCL", config(f'variable "db_password" {{\n  default = "{H}"\n}}\nport = 80\n'), H, "port = 80"),
    ("mapping of HCL", config(f'secrets = {{\n  a = "{H}"\n}}\nport = 80\n'), H, "port = 80"),
    (
        "JDBC of SQL Server",
        env("DB", f"jdbc:sqlserver://db.example;user=me;password={H};encrypt=true"),
        H,
        "db.example",
    ),
    ("JDBC of Oracle, OCI", env("DB", f"jdbc:oracle:oci:me/{H}@x"), H, "jdbc:oracle:oci:me"),
    ("-u :password", container(command=["sh", "-c", f"curl -u :{H} h.example"]), H, "h.example"),
    ("--user :password", container(command=["curl", "--user", f":{H}", "h.example"]), H, "h.example"),
    ("-u token:", container(command=["curl", "-u", f"{H}:", "h.example"]), H, "h.example"),
    ("login without a user, IPv6", env("CACHE", f"redis://:{H}@[::1]:6379/0"), H, "[::1]:6379"),
    ("credentials of AWS", config(f"[default]\naws_secret_access_key = {H}\nregion = x\n"), H, "region = x"),
    ("Secret in a List in YAML", config(yaml.safe_dump(document("List", items=[PLAIN, {"port": 80}]))), H, "port: 80"),
    ("Secret in a List in JSON", config(json.dumps(document("List", items=[SECRET]))), "aHVudGVy", "List"),
    ("generator of Secrets", config(f"secretGenerator:\n- literals:\n  - user={H}\nport: 80\n"), H, "port: 80"),
    (
        "patch of a Secret",
        document(spec={"patches": [{"target": {"kind": "Secret"}, "patch": f"- path: /data/user\n  value: {H}\n"}]}),
        H,
        "target",
    ),
    ("key in JSON5", config(f"{{\n // c\n password: '{H}',\n port: 80,\n}}"), H, "port: 80"),
    ("key and value of YAML apart", config(f"? password\n: {H}\nport: 80\n"), H, "port: 80"),
    (
        "XML siblings of two words",
        config(f"<p><param-name>token</param-name><param-value>{H}</param-value></p>"),
        H,
        "token",
    ),
    (
        "instruction of XML",
        config(f'<?xml version="1.0"?><?db password="{H}"?><a><user>me</user></a>'),
        H,
        "<user>me</user>",
    ),
    ("registry of Windows", config(f'[HKEY_X]\n"Password"="{H}"\n"Port"="80"\n'), H, '"Port"="80"'),
    ("lines that end by CR LF", config(f"password=a\\\r\n  {H}\r\nport=80\r\n"), H, "port=80"),
    ("names that are hosts", config(json.dumps({"github-oauth": {"github.com": H}, "x": 1})), H, "github.com"),
    ("rules of Redis", config(f"ACL SETUSER me on >{H} ~*\nport 1\n"), H, "port 1"),
    ("mapping of Logstash", config(f'output {{ x {{ user => "me" password => "{H}" }} }}\n'), H, "output"),
    ("terms of Erlang", config(f'{{rabbit, [{{default_user, "me"}}, {{default_pass, "{H}"}}]}}.\n'), H, "rabbit"),
    ("after a word that is no secret", config(f"a=1 password=true token={H}\nb=1"), H, "password=true"),
    *(
        (f"a name: {name}", document(spec={name: H, "replicas": 2}), H, "replicas: 2")
        for name in (
            "PASSWORD",
            "pass-word",
            "dbPassword",
            "passwd",
            "userPwd",
            "passphrase",
            "apiKey",
            "api_key",
            "APIKEY",
            "API-Key",
            "accessKey",
            "client-secret",
            "clientSecret",
            "privateKey",
            "connectionString",
            "DATABASE_DSN",
            "token",
            "githubToken",
            "sasl.jaas.password",
            "password2",
            "PASSWORD_DB",
            "hash_salt",
            "encryptionKey",
            "credentials",
            "primaryKey",
            "secondaryKey",
            "STRIPE_KEY",
            "fernet.key",
            "routing_key",
            "AZURE_PAT",
            "PEPPER",
            "TOTP_SEED",
            "Kennwort",
            "mot_de_passe",
            "contrase\u00f1a",
            "\u043f\u0430\u0440\u043e\u043b\u044c",
            "\u5bc6\u7801",
        )
    ),
    ("a text of Nix", config(f"services.db.password = ''\n{H}\n'';\nport = 1;"), H, "port = 1"),
    ("properties with an escaped letter", config(f"pass\\u0077ord={H}\nport=1"), H, "port=1"),
    ("properties with the value on the next line", config(f"db.password\\\n  ={H}\nport=1"), H, "port=1"),
    ("a hash of htpasswd", config(f"me:{{SHA}}{b64(H * 3)}"), b64(H * 3), "me:"),
    ("a signature that opens storage", config(f"SharedAccessSignature={H}"), H, "SharedAccessSignature"),
]


@pytest.mark.parametrize(("value", "hidden", "kept"), [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
def test_a_secret_is_masked_in_each_form(value: dict[str, Any], hidden: str, kept: str) -> None:
    """It is not shown, what is beside it is; it is counted; a change of it is seen, under the key alone."""
    item = read(value)
    assert hidden not in item.text
    assert kept in item.text
    assert item.masked == item.text.count("(secret ") >= 1
    other = read(json.loads(json.dumps(value).replace(json.dumps(hidden)[1:-1], "9" + json.dumps(hidden)[2:-1])))
    assert other.text != item.text
    assert read(value, b"other").text != item.text


VISIBLE: list[tuple[str, dict[str, Any]]] = [
    ("image and tag", container(image="ghcr.io/shop/token-service:1.2")),
    ("image of one word", container(image="secret-operator:1.2")),
    ("image and digest", container(image=f"web:1.2@sha256:{'0a' * 32}")),
    ("replicas", document(spec={"replicas": 3})),
    ("ports", args("-p", "8080:80", "-p8443:443", "-P3306", "-port=80", "-path", "/x", "-p", "/run")),
    ("user and group", args("-u", "1000:1000")),
    (
        "volume of a Secret",
        document(
            spec={
                "volumes": [
                    {
                        "name": "tls",
                        "secret": {
                            "secretName": "web-tls",
                            "defaultMode": 420,
                            "items": [{"key": "tls.crt", "path": "crt"}],
                        },
                    }
                ]
            }
        ),
    ),
    (
        "projected volume",
        document(
            spec={
                "sources": [
                    {"secret": {"name": "web", "items": [{"key": "a", "path": "b"}]}},
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, "audience": "x"}},
                ]
            }
        ),
    ),
    (
        "secretKeyRef",
        container(env=[{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "web", "key": "password"}}}]),
    ),
    ("imagePullSecrets", document(spec={"imagePullSecrets": [{"name": "registry"}]})),
    (
        "roles",
        document(
            "Role", rules=[{"resources": ["secrets", "configmaps"], "resourceNames": ["web-token"], "verbs": ["get"]}]
        ),
    ),
    (
        "truth values",
        document(spec={"automountServiceAccountToken": False, "auth": {"enabled": True}, "usePassword": "true"}),
    ),
    (
        "what describes a secret",
        document(
            spec={
                "passwordPolicy": "strict",
                "passwordLength": 12,
                "tokenTtl": "1h",
                "secretName": "web-tls",
                "tokenUrl": "https://login.example/token",
                "passwordFile": "/run/secrets/db",
                "existingSecret": "web",
                "maxTokens": 4096,
            }
        ),
    ),
    (
        "reference to a variable",
        container(env=[{"name": "DB_PASSWORD", "value": "$(PASSWORD)"}], args=["--password=$(PASSWORD)"]),
    ),
    ("address and port", env("AUTH_URL", "http://auth-service.shop.svc:8080/token")),
    ("user in an address of SSH", env("SOURCE", "ssh://git@git.example/x")),
    ("mail", config("owner: mailto:me@shop.example\nother: me@shop.example")),
    (
        "ExternalSecret",
        document(
            "ExternalSecret",
            spec={
                "secretStoreRef": {"name": "vault"},
                "data": [{"secretKey": "password", "remoteRef": {"key": "db", "property": "password"}}],
            },
        ),
    ),
    (
        "Certificate",
        document(
            "Certificate",
            spec={"secretName": "tls", "privateKey": {"algorithm": "RSA", "size": 4096, "rotationPolicy": "Always"}},
        ),
    ),
    (
        "schema",
        document(
            "CustomResourceDefinition",
            spec={
                "openAPIV3Schema": {
                    "properties": {
                        "password": {"type": "string", "description": "The password: a text"},
                        "secretRef": {"type": "object"},
                    }
                }
            },
        ),
    ),
    ("certificate", config("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")),
    (
        "keys that are names",
        document(
            spec={
                "topologyKey": "kubernetes.io/hostname",
                "matchLabelKeys": ["app"],
                "tolerations": [{"key": "dedicated", "operator": "Exists"}],
                "taint": {"key": "dedicated", "value": "web", "effect": "NoSchedule"},
                "partition_key": "id",
                "publicKey": "ssh-ed25519 AAAA",
            }
        ),
    ),
    ("values that are none of SQL", config("the values (a, b) are shown; copy it from stdin\n")),
    ("commands that only look alike", args("vault", "server", "-config=/x", "-pod", "-P=/run")),
    ("directives of nginx", config("location / {\n  proxy_pass http://web:8080;\n}\n")),
    (
        "words of the language",
        config("author: me\ntokenizer: standard\nauthentication: enabled\nbypass: x\nkeyboard: y\n"),
    ),
    ("commit and number", config(f"commit = {'0a1b' * 10}\nnumber = {'1234567890' * 3}\n")),
    ("name over two lines", config("path=a\\\n  b\ncommand = run \\\n  web\n")),
    ("digests and paths", config(f"sum = {'0a' * 32}\npath = /usr/local/lib/python/site/packages/x\n")),
    ("option of a file", args("--token-file", "/run/token", "--password-file=/run/password")),
    ("an empty value", env("DB_PASSWORD", "")),
]


@pytest.mark.parametrize("value", [form[1] for form in VISIBLE], ids=[form[0] for form in VISIBLE])
def test_what_is_no_secret_stays(value: dict[str, Any]) -> None:
    """Nothing is masked: a reader of the impact needs it."""
    assert "(secret " not in read(value).text
    assert read(value).masked == 0
    assert Masker(b"key").object(value) == value


def test_masked_values_are_counted_on_the_side_that_has_more() -> None:
    """For each object that differs; what does not differ is not shown, and does not count."""
    before, after = document("Secret", data={"a": "x", "b": "other"}), document("Secret", data={"a": "z"})
    same = document("Secret", metadata={"name": "same"}, data={"a": "x"})
    sides = [{item.identity: item for item in map(read, side)} for side in ((before, same), (after, same))]
    (change,), _ = compare.compare(*sides)
    assert change.masked == 2
    assert compare.compare({}, sides[0])[0][1].masked == 2


def test_the_number_of_masked_values_is_told() -> None:
    """In the first line of the page, which a comment and a terminal show."""
    change = ObjectChange(action="changed", name="Secret web", diff="", masked=2)
    impact = ApplicationImpact(
        environment="dev",
        application="web",
        chart="web",
        before="1",
        after="2",
        changes=(change,),
        labels_only=0,
        fault="helm: (secret 0123abcd)",
        was_broken=False,
    )
    gathered = Gathered(repo="r", commit="c", base="b", environments="", untouched=0, touched=(), findings=())
    assert compare.masked_values([impact, impact]) == 6
    assert compare.page(gathered, [impact], unchanged=0).splitlines()[0].endswith("; 3 values masked.")


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "://",
        "pass",
        "password ",
        "-p ",
        "a:",
        "{",
        "<a ",
        "'",
        "password:\n",
        "A1b/",
        "<!--",
        "pw\n[[",
        "pw\n# a\n",
    ],
)
def test_long_texts_are_read_whole(part: str) -> None:
    """A text of whatever form comes to an end: as long as it was, or masked."""
    text = (part * 50_000)[:50_000]
    found = Masker(b"key").object({"text": text, "password": text})
    assert found["text"] == text or "\ue000" in found["text"]
    assert found["password"] != text


def test_texts_in_texts_end() -> None:
    """What is deeper than anybody writes is masked as a whole: reading it takes longer with each of them."""
    text = "".join(f"{' ' * depth}a: |\n" for depth in range(500)) + " " * 500 + f"password: {H}\n"
    assert H not in Masker(b"key").object({"text": text})["text"]
    shallow = f"a: |\n  b: |\n    password: {H}\n    user: me\n"
    assert "user: me" in Masker(b"key").object({"text": shallow})["text"]


def test_messages_of_helm() -> None:
    """A value is masked, and that one is missing can be read."""
    masker = Masker(b"key")
    assert masker.message("web.yaml:3: db.password is required") == "web.yaml:3: db.password is required"
    assert H not in masker.message(f"bad password: {H}; https://me:{H}@git.example")
