"""Which names say that their value is secret, and which texts are secret by their form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

_SECRET = re.compile(
    r"pass[ _.-]?(?:w(?:or)?d|wort|phrase|code|key)|passw|pwd|secret|token(?!i[sz])|credential|"
    r"authorization|bearer(?! )|"
    # Words of few letters end where no small letter follows, and some of them begin where none comes before.
    r"(?:pass|pw|auth|dsn|salt|psk|totp|(?<!(?-i:[a-z]))(?:creds?|otp|pin|pat|pepper))(?!(?-i:[a-z]))|"
    r"kennwort|mot[ _.-]?de[ _.-]?passe|contrase[n\u00f1]a|senha|\u043f\u0430\u0440\u043e\u043b\u044c|"
    r"\u5bc6\u7801|\u5bc6\u78bc|\u30d1\u30b9\u30ef\u30fc\u30c9|\ube44\ubc00\ubc88\ud638|"
    r"access[ _.-]?signature|identified[ _.-]by|conn(?:ection)?[ _.-]?str(?:ing)?|netrc|mnemonic|string[ _.-]?data|"
    r"r[ow]community|"
    r"cookie(?=[\"']?\s*[:=]|$)|(?<=--)cookie|secure[ _.-]?(?:json[ _.-]?data|settings)|"
    r"docker[ _.-]?(?:config[ _.-]?json|cfg)|id_(?:rsa|dsa|ecdsa|ed25519)|"
    r"(?:api|app|access|account|private|priv|crypt|encrypt|encryption|decryption|signing|sign|master|shared|license|"
    r"storage|ssh|ssl|tls|deploy|session|jwt|hmac|aes|client|server|service|auth|webhook|admin|root|primary|secondary)"
    r"[ _.-]?key",
    re.IGNORECASE,
)
_SNAKE_KEY = r"(?<=[a-z0-9])[_.-]key"
"""STRIPE_KEY and stripe.key are said of values; topologyKey, as Kubernetes writes names, of a name."""
SECRET_WORD = re.compile(rf"{_SECRET.pattern}|{_SNAKE_KEY}(?!(?-i:[a-z]))", re.IGNORECASE)
_ENDS_IN_KEY = re.compile(rf"{_SNAKE_KEY}$", re.IGNORECASE)
_HARMLESS_KEY = re.compile(
    r"(?:^|_)(?:public|pub|topology|partition|sort|foreign|row|range|cache|object|label|annotation|field|map|group|"
    r"index|lookup|property|translation|message|host|metric|time|user|username|type|name|cert|crt|ca|by|on|the|"
    r"any)_key$"
)
"""Keys that open nothing."""
_ROOT = re.compile(
    "pass pw secret token cred auth bearer dsn salt psk otp pin identified conn netrc mnemonic string community cookie"
    " docker id_ key signature _pat -pat pat_ pepper kennwort contras senha secur"
    " \u043f\u0430\u0440\u043e\u043b\u044c \u5bc6 \u30d1\u30b9 \ube44\ubc00".replace(" ", "|")
)
"""One of them is in each of these words; to look for them is ten times as fast."""
_REACH = 60
"""Characters around one of them that hold the whole word."""
_NO_PASSWORD = re.compile(r"(?:by|com|tres|(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached)_)_?pass$")
"""Directives of nginx, and words of the language."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LONGEST_NAME = 200
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")
_DESCRIBES = frozenset(
    "name names file files filename path paths dir directory folder ref refs reference policy policies enabled disabled"
    " type kind length size count limit limits ttl seconds secs minutes hours days expiry expiration lifetime timeout"
    " duration interval period version class service svc server host hostname url uri endpoint address addr port issuer"
    " audience mode method format algorithm alg encoding provider store operator controller namespace label annotation"
    " prefix suffix mount rotation required optional local cluster template".split()
)
"""Last words of names whose value describes a secret or says where it is: `secretName`, `tokenTtl`."""
_MEASURES = frozenset({"checksum", "max", "min", "num", "existing"})
"""First words of such names: `maxTokens`, `existingSecret`, `checksum/secret`."""
_PRIVATE_KEY = re.compile(
    r"()(-{4,5} ?BEGIN [^-\n]{0,40}(?:PRIVATE|SECRET|STATIC) KEY[^-\n]{0,20}----"
    r".*?(?:-{4,5} ?END [^-\n]{0,60}-----?|\Z)|PuTTY-User-Key-File.*)",
    re.DOTALL | re.IGNORECASE,
)
_TOKEN = re.compile(
    r"()(\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\beyJ[\w-]{6,}\.[\w-]{6,}[\w.-]*|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|"
    r"\bgl[a-z]{2,5}-[\w-]{16,}|\bxox[a-z]-[\w-]{8,}|\bxapp-[\w-]{8,}|\b[srw]h?k?(?:sec|[-_](?:live|test|proj|ant))"
    r"[-_][\w-]{8,}|\bsk-\w{20,}|\bAIza[\w-]{30,}|\bya29\.[\w-]+|\bnpm_\w{30,}|\bhv[sbr]\.[\w-]{20,}|"
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bdop_v1_\w{30,}|\bpypi-[\w-]{30,}|\bAGE-SECRET-KEY-1\w+|"
    r"(?<=hooks\.slack\.com/services/)[^\s\"'<>\\]+|(?<=/api/webhooks/)[^\s\"'<>\\]+|"
    r"(?<=office\.com/webhookb2/)[^\s\"'<>\\]+|(?<!\d)\d{6,12}:AA[\w-]{30,}|(?<=[?&;]sig=)[\w%+/=-]+|"
    r"(?<=[?&;]key=)[\w%+/=.-]+|(?<=[?&;]code=)[\w%+/=.-]+|"
    r"\$(?:apr1|2[abxy]|[156y]|argon2\w*|scrypt|pbkdf2[\w-]*)\$[^\s:\"'<>\\]+|"
    r"\{S?SHA\d{0,3}\}[\w+/]{20,}={0,2}|"
    r"(?<=\b[Bb]earer )[^\s\"'<>\\]{6,}|(?<=\b[Bb]asic )(?=[a-z]*[A-Z0-9=])[A-Za-z0-9+/]{8,}={0,2})"
)
"""Tokens of well-known issuers, hashes of passwords, headers of logins."""
_TOKEN_ROOTS = (
    "AKIA ASIA eyJ gh github_pat_ gl xox xapp- live test proj- ant sec_ sec- sk- AIza ya29. npm_ hvs. hvb. hvr. SG."
    " dop_v1_ pypi- AGE- hooks. /webhooks/ webhookb2 :AA sig= key= code= $ {S earer asic"
).split()
LOGIN = re.compile(
    r"(?<=//)(?P<login>[^\s/:@\"'<>\\]{0,200}:(?!\d+[/?#])[^\s\"'<>\\]{0,500}|[^\s/?#\"'<>\\]{0,500})(?=@)"
)
"""In an address: `user:password`, `:password` or `token`, before its host."""
_POSITIONAL = re.compile(
    r"\b(?:rabbitmqctl\s+(?:add_user|change_password)|vault\s+(?:login|write|kv\s+put)|net\s+use|lftp\s+-u|"
    r"mc\s+(?:alias\s+set|config\s+host\s+add))\b"
)
"""Commands that take a secret without an option before it."""
_START = r"(?:(?<=[\s\"'])|^)"
_AFTER = tuple(
    (roots.split(), re.compile(before + after))
    for roots, before, after in (
        # user:password@host, but not image:tag@sha256:…
        (
            "@",
            r"(?<![\w/.@:-])((?!mailto:|sips?:|npm:)[\w.+%-]{1,64}:)",
            r"([^\s@/:\"'<>\\,]{1,200})(?=@(?!sha\d+:)[\w(\[])",
        ),
        # jdbc:oracle:thin:user/password@host
        (":thin: :oci", r"(:(?:thin|oci8?):[^\s/@]{1,64}/)", r"([^\s@]{1,200})(?=@)"),
        # a line of .pgpass
        (
            ":",
            r"(?:(?<=\n)|^)((?:[\w.*-]|\\:){1,200}:(?:\d{1,5}|\*):[\w.*-]{1,100}:[\w.*@-]{1,100}:)",
            r"(\S+)(?=\s|$)",
        ),
        # -u user:password, but not -u 1000:1000
        (
            "-u -U -user",
            _START + r"((?:-[uU]|--(?:proxy-)?user)[\s=]{0,9}[\"']?(?!\d+:\d+\b)[^\s:\"'/$=]{0,100}:)",
            r"([^\s\"']+)",
        ),
        # -u TOKEN: without a password
        ("-u --user", _START + r"((?:-u|--user)[\s=]{0,9}[\"']?)", r"([^\s:\"'/$=]{1,200})(?=:[\"']?(?:\s|$))"),
        # -pVALUE, but not -path, -p8080:80 and -port=80
        (
            "-p",
            _START + r"(-p(?!\d+:\d+\b|[a-z-]+=|assw|asscode|"
            r"(?:orts?|aths?|rofile|refix|roto(?:col)?|id(?:file)?|lugins?|olicy|arallel|rint|rogress|roject|rovider|"
            r"rune|retty|ublic|ublish|prof|ing|oll|ool|eers?|rometheus|eriod|ods?|"
            r"reserve|arents)(?:[\s\"']|$)))",
            r"([^\s\"'=][^\s\"']*|[\"'][^\"']+|=(?![/.\d])[^\s\"']+)",
        ),
        ("-P", _START + r"(-P(?!\d+(?:[\s\"']|$)|[a-z]+[=.]|assw|asscode))", r"([^\s\"'=][^\s\"']*|[\"'][^\"']+)"),
        # -p VALUE, but not -p 8080:80 and -p /path
        ("-p -P", _START + r"(-[pP][ \t]{1,9}[\"']?)", r"((?!\d[\d:.]*(?:/\w+)?(?:[\s\"']|$)|[/.-])[^\s\"']+)"),
        (
            "redis-cli ldap openssl",
            r"(\b(?:redis-cli|ldap[a-z]{3,10}|openssl)\b[^\n]{0,300}?\s-[awkK][ \t]{1,9}[\"']?)",
            r"([^\s\"']+)",
        ),
        # echo VALUE | docker login --password-stdin
        (
            "|",
            r"(?:(?<=\n)|^)()",
            r"([^\n|]{1,2000}\|[^\n]*(?:-stdin\b|passwd\b|\bkinit\b|\bcryptsetup\b|sudo -S)[^\n]*)",
        ),
        # echo VALUE > /run/secrets/password
        (
            ">",
            r"(\b(?:echo|printf)[ \t]{1,9})",
            rf"([^\n|;&>]{{1,2000}})(?=(?:\|[^\n;&>]{{0,200}})?>[^\n;&|]{{0,200}}(?:{SECRET_WORD.pattern}))",
        ),
        # INSERT INTO users VALUES ('me', VALUE), and the lines after COPY users FROM stdin;
        (
            "alues ALUES",
            r"(?i:(\b(?:insert|replace|upsert|merge)\b[^;]{0,2000}?\bvalues\s{0,99}))",
            r"(\((?:[^;']|'[^']*+(?:'|\Z))*+)",
        ),
        (
            "stdin STDIN",
            r"(?i:(\bcopy\s[^;\n]{1,500}\sfrom\s{1,9}stdin\b[^;\n]{0,200};?\n))",
            r"((?s:.+?))(?=\n\\\.|\Z)",
        ),
        ("from-literal", r"(--from-literal[= \t][\"']?[^=\s]{1,200}=)", r"([^\s\"']+)"),
        ("-U", _START + r"(-U[ \t]{0,9}[^\s%\"']{1,100}%)", r"([^\s\"']+)"),
        ("sqlplus", r"(\bsqlplus\s{1,9}(?:-\S{1,20}\s{1,9}){0,5}[^\s/]{1,100}/)", r"([^\s@\"']+)"),
        # user default on >VALUE, of Redis
        (" >", r"((?:(?:(?<=\n)|^)user|(?i:\bsetuser))\s[^\n>]{1,300}\s>)", r"(\S+)"),
        # user_me="VALUE" of Java's logins
        ("LoginModule", r"(\buser_\w{1,100}\s{0,9}=\s{0,9}\"?)", r"([^\s\";]+)"),
        ("com2sec", r"(\bcom2sec6?\s{1,9}(?:-\S+\s+\S+\s+)?\S{1,100}\s{1,9}\S{1,100}\s{1,9})", r"(\S+)"),
        # a line of pgbouncer's userlist.txt
        ('"', r"(?:(?<=\n)|^)(\"[^\"\n]{1,100}\"[ \t]{1,9}\")", r"([^\"\n]+)(?=\"[ \t]*(?:\n|$))"),
        ("rabbitmqctl vault mc net lftp", rf"((?:{_POSITIONAL.pattern})\s{{1,9}})", r"([^\n;|&]+)"),
    )
)
"""What may stay, and after it a value that is secret although no name says so."""
BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{20,}={0,2}")
HARMLESS = re.compile(
    r"true|false|null|none|nil|yes|no|on|off|~|\$\([A-Z_][A-Z0-9_]*\)|\$\{[A-Z_][A-Z0-9_]*\}", re.IGNORECASE
)
"""Values that are no secret whatever their name says; `$(NAME)` is where one is put later."""


def has_secret_word(text: str) -> bool:
    """Whether a word in a text, also an escaped or a full-width one, may be the name of a secret."""
    text = _ESCAPED.sub(lambda match: chr(int(match[1] or match[2], 16)), text) if "\\" in text else text
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    lower = text.lower()
    if len(lower) != len(text):
        return SECRET_WORD.search(text) is not None
    end = 0
    for root in _ROOT.finditer(lower):
        if root.start() >= end - _REACH:  # else it was in the part before, with the word around it
            end = root.end() + _REACH
            if SECRET_WORD.search(text, max(0, root.start() - _REACH), end):
                return True
    return False


def takes_secrets(words: Sequence[str]) -> bool:
    """Whether a word of a command may be a secret without an option before it: `htpasswd -b FILE USER VALUE`."""
    program = words[0].rpartition("/")[2] if words else ""
    return program.endswith("passwd") or _POSITIONAL.match(" ".join([program, *words[1:4]])) is not None


def known_forms(text: str) -> Iterator[re.Pattern[str]]:
    """Give the patterns of values that are secret by their form or after an option, of those that can match in a text.

    The first group may stay, the second is the value.
    """
    if "----" in text or "PuTTY" in text:
        yield _PRIVATE_KEY
    if any(map(text.__contains__, _TOKEN_ROOTS)):
        yield _TOKEN
    for roots, pattern in _AFTER:
        if any(map(text.__contains__, roots)):
            yield pattern


def is_secret(name: str) -> bool:
    """Whether a key, variable or option of this name has a value that is secret, in whatever case it is written."""
    return _means_secret(name) if len(name) <= _LONGEST_NAME else SECRET_WORD.search(name) is not None


@lru_cache(maxsize=4096)
def describes(name: str) -> bool:
    """Whether a name is one of what describes a secret: its file, its length, its policy."""
    words = _words(name).split("_")
    return words[-1] in _DESCRIBES or words[0] in _MEASURES


@lru_cache(maxsize=4096)
def _means_secret(name: str) -> bool:
    words = _words(name)
    is_key = _ENDS_IN_KEY.search(name) is not None and not _HARMLESS_KEY.search(words)
    return (is_key or _SECRET.search(words) is not None) and not _NO_PASSWORD.search(words) and not describes(name)


def _words(name: str) -> str:
    name = name if name.isascii() else unicodedata.normalize("NFKC", name)
    return re.sub(r"[\W_]+", "_", _CAMEL.sub("_", name).lower()).strip("_")
