"""Argo's three small languages: `depends`, `retryStrategy.expression` and `when`.

Argo evaluates the first two with expr-lang and the last with govaluate. This module reads the part of each that behaves
the same everywhere: comparisons, boolean operators, literals and, for retries, `asInt` and `lastRetry`. Every
expression is parsed when its document is loaded, so a mistake is found before anything runs. `depends` follows Argo's
workflow/common/ancestry.go and docs/enhanced-depends-logic.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pipelines.engines.local.nodes import Node, Phase

RESULTS: Mapping[str, Callable[[Node], bool]] = {
    "Succeeded": lambda node: node.phase is Phase.SUCCEEDED,
    "Failed": lambda node: node.phase is Phase.FAILED,
    "Errored": lambda node: node.phase is Phase.ERROR,
    "Skipped": lambda node: node.phase is Phase.SKIPPED,
    "Omitted": lambda node: node.phase is Phase.OMITTED,
    "AnySucceeded": lambda node: any(item.phase is Phase.SUCCEEDED for item in node.items),
    "AllFailed": lambda node: bool(node.items) and all(item.phase is Phase.FAILED for item in node.items),
}
OF_ITEMS = frozenset({"AnySucceeded", "AllFailed"})


class ExpressionError(Exception):
    """A text that cannot be parsed, or an expression whose operators do not apply to its values."""


Value = str | int | float | bool | list["Value"]


@dataclass(frozen=True)
class Literal:
    """A literal value."""

    value: Value


@dataclass(frozen=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True)
class Operation:
    """An operator or a function with its operands."""

    operator: str
    operands: tuple[Expression, ...]


Expression = Literal | Name | Operation


class Dialect(Enum):
    """One of the three languages."""

    DEPENDS = "depends"
    RETRY = "retryStrategy.expression"
    WHEN = "when"


_TOKENS = {
    # Argo's own patterns for task names (workflow/common/ancestry.go).
    Dialect.DEPENDS: re.compile(
        r"\s*(?:(?P<name>[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Z][A-Za-z]+)?)|(?P<operator>&&|\|\||[!()]))"
    ),
    Dialect.RETRY: re.compile(
        r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w.])|(?P<string>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
        r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
        r"|(?P<operator>&&|\|\||==|!=|<=|>=|[!()<>,\[\]]))"
    ),
    # A word that is not a keyword is text, and so is what stands in brackets, such as a list in JSON: variables of
    # govaluate, which Argo turns into strings. There either quote ends a string.
    Dialect.WHEN: re.compile(
        r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?![\w.])"
        r"|(?P<string>['\"](?:[^'\"\\]|\\.)*['\"]|\[(?:[^\]\\]|\\.)*\])"
        r"|(?P<name>[A-Za-z][A-Za-z0-9_]*)(?![\w.-])|(?P<operator>&&|\|\||==|!=|<=|>=|=~|[!()<>+]))"
    ),
}
_COMPARISONS = ("==", "!=", "<", ">", "<=", ">=")
_STRENGTH = {"||": 10, "or": 10, "&&": 15, "and": 15, "+": 30} | dict.fromkeys(
    (*_COMPARISONS, "=~", "contains", "startsWith", "endsWith", "matches", "in"), 20
)
_UNARY = 50
_WORDS = frozenset({"or", "and", "not", "in", "contains", "startsWith", "endsWith", "matches"})
_FUNCTIONS = frozenset({"asInt", "int"})
_ALIASES = {"or": "||", "and": "&&", "not": "!", "int": "asInt", "=~": "matches"}
_UNESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
RETRY_VARIABLES = frozenset(
    {"lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message", "retries"}
)


def parse(text: str, dialect: Dialect) -> Expression:
    """Return the expression of a text; raises ExpressionError with the part that cannot be read."""
    return _ExpressionParser(text, dialect).parse()


def names(expression: Expression) -> tuple[str, ...]:
    """Return the variables that an expression reads, each once, in order."""
    match expression:
        case Name(name):
            return (name,)
        case Operation(_, operands):
            return tuple(dict.fromkeys(name for operand in operands for name in names(operand)))
        case _:
            return ()


def evaluate(expression: Expression, lookup: Callable[[str], Value] | Mapping[str, Value]) -> bool:
    """Return whether an expression is true; raises ExpressionError if it is neither true nor false."""
    find = lookup if callable(lookup) else lookup.__getitem__
    result = _value(expression, find)
    if not isinstance(result, bool):
        raise ExpressionError(f"neither true nor false: {result!r}")
    return result


class _ExpressionParser:
    """Precedence climbing over the tokens of one text."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.dialect = dialect
        self.tokens = list(self._tokens())
        self.at = 0

    def _tokens(self) -> list[tuple[str, str]]:
        found, at, pattern = [], 0, _TOKENS[self.dialect]
        while self.text[at:].strip():
            match = pattern.match(self.text, at)
            if match is None:
                raise ExpressionError(f"cannot read {self.text[at:].strip()[:30]!r}")
            kind = str(match.lastgroup)
            word = match[kind]
            is_word = kind == "name" and word in _WORDS and self.dialect is Dialect.RETRY
            found.append(("operator" if is_word else kind, word))
            at = match.end()
        return found

    def parse(self) -> Expression:
        expression = self._climb(0)
        if self.at < len(self.tokens):
            raise ExpressionError(f"cannot go on at {self._peek()!r}")
        return expression

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else "the end"

    def _take(self) -> tuple[str, str]:
        if self.at == len(self.tokens):
            raise ExpressionError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def _expect(self, word: str) -> None:
        if (token := self._take()) != ("operator", word):
            raise ExpressionError(f"{word!r} expected, not {token[1]!r}")

    def _climb(self, strength: int) -> Expression:
        left = self._operand()
        while self.at < len(self.tokens):
            kind, word = self.tokens[self.at]
            if kind != "operator" or _STRENGTH.get(word, -1) <= strength:
                break
            self.at += 1
            left = Operation(_ALIASES.get(word, word), (left, self._climb(_STRENGTH[word])))
        return left

    def _operand(self) -> Expression:
        kind, word = self._take()
        if kind == "number":
            # govaluate knows only floating point; comparing is the same either way.
            return Literal(float(word) if "." in word else int(word))
        if kind == "string":
            return Literal(re.sub(r"\\(.)", lambda m: _UNESCAPED.get(m[1], m[1]), word[1:-1], flags=re.DOTALL))
        if kind == "name":
            return self._name(word)
        if word in ("!", "not"):
            return Operation("!", (self._climb(_UNARY),))
        if word == "(":
            inner = self._climb(0)
            self._expect(")")
            return inner
        if word == "[":
            return self._list()
        raise ExpressionError(f"a value expected, not {word!r}")

    def _name(self, word: str) -> Expression:
        if self.dialect is not Dialect.DEPENDS and word in ("true", "false"):
            return Literal(word == "true")
        if self.dialect is Dialect.WHEN:
            return Literal(word)
        if self.dialect is Dialect.RETRY and word in _FUNCTIONS:
            self._expect("(")
            inner = self._climb(0)
            self._expect(")")
            return Operation("asInt", (inner,))
        if self.dialect is Dialect.RETRY and word not in RETRY_VARIABLES:
            raise ExpressionError(f"{word!r} is not known; there are {', '.join(sorted(RETRY_VARIABLES))}")
        return Name(word)

    def _list(self) -> Expression:
        items = []
        while self._peek() != "]":
            item = self._operand()
            if not isinstance(item, Literal):
                raise ExpressionError("a list holds only literals")
            items.append(item.value)
            if self._peek() != "]":
                self._expect(",")
        self._expect("]")
        return Literal(items)


def _value(expression: Expression, find: Callable[[str], Value]) -> Value:
    match expression:
        case Literal(value):
            return value
        case Name(name):
            return find(name)
        case Operation("!", (operand,)):
            return not _boolean(_value(operand, find))
        case Operation("&&", (left, right)):
            return _boolean(_value(left, find)) and _boolean(_value(right, find))
        case Operation("||", (left, right)):
            return _boolean(_value(left, find)) or _boolean(_value(right, find))
        case Operation("asInt", (operand,)):
            return _integer(_value(operand, find))
        case Operation("+", (left, right)):
            return _joined(_value(left, find), _value(right, find))
        case Operation(operator, (left, right)):
            return _compare(operator, _value(left, find), _value(right, find))
        case _:
            raise ExpressionError(f"not an expression: {expression}")


def _joined(left: Value, right: Value) -> str:
    if not isinstance(left, str) or not isinstance(right, str):
        raise ExpressionError(f"'+' does not apply to {left!r} and {right!r}")
    return left + right


def _boolean(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"neither true nor false: {value!r}")
    return value


def _integer(value: Value) -> int:
    try:
        return int(value) if not isinstance(value, list) else int("")
    except ValueError as error:
        raise ExpressionError(f"not a whole number: {value!r}") from error


def _compare(operator: str, left: Value, right: Value) -> bool:
    if operator in ("==", "!="):
        return _same(left, right) == (operator == "==")
    if operator == "in" and isinstance(right, list):
        return any(_same(left, item) for item in right)
    if isinstance(left, str) and isinstance(right, str):
        if operator == "matches":
            return _matches(left, right)
        texts = {"contains": right in left, "startsWith": left.startswith(right), "endsWith": left.endswith(right)}
        return texts[operator] if operator in texts else _ordered(operator, left < right, left == right)
    if _is_number(left) and _is_number(right) and operator in _COMPARISONS:
        return _ordered(operator, left < right, left == right)  # type: ignore[operator]  # both are numbers
    raise ExpressionError(f"{operator!r} does not apply to {left!r} and {right!r}")


def _matches(text: str, pattern: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise ExpressionError(f"not a pattern: {pattern!r}: {error}") from error


def _ordered(operator: str, is_less: bool, is_equal: bool) -> bool:
    orders = {"<": is_less, "<=": is_less or is_equal, ">": not is_less and not is_equal, ">=": not is_less}
    if operator not in orders:
        raise ExpressionError(f"{operator!r} does not apply to texts")
    return orders[operator]


def _same(left: Value, right: Value) -> bool:
    # In both languages a text never equals a number, and true does not equal 1, as it does in Python.
    if isinstance(left, bool) or isinstance(right, bool) or not (_is_number(left) and _is_number(right)):
        return type(left) is type(right) and left == right
    return left == right


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parse_depends(text: str) -> Expression:
    """Return the expression of `depends`, with bare task names expanded as Argo does; raises ExpressionError."""
    return _expanded(parse(text, Dialect.DEPENDS))


def parse_dependencies(tasks: Sequence[str]) -> Expression | None:
    """Return the same expression for a plain list of `dependencies`; None for an empty one."""
    whole: Expression | None = None
    for task in tasks:
        one = _expanded(Name(task))
        whole = one if whole is None else Operation("&&", (whole, one))
    return whole


def tasks_of(expression: Expression) -> tuple[str, ...]:
    """Return the tasks that an expression of `depends` names, each once."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in names(expression)))


def is_met(expression: Expression, nodes: Mapping[str, Node]) -> bool:
    """Return whether a task runs; `nodes` holds the nodes of the tasks that it depends on."""

    def result(name: str) -> Value:
        task, _, word = name.partition(".")
        return RESULTS[word](nodes[task])

    return evaluate(expression, result)


def _expanded(expression: Expression) -> Expression:
    match expression:
        case Name(name):
            task, _, word = name.partition(".")
            if not word:
                # Argo adds `|| task.Daemoned`; no task is a daemon here.
                return Operation("||", (Name(f"{task}.Succeeded"), Name(f"{task}.Skipped")))
            if word not in RESULTS:
                raise ExpressionError(f"{name!r} is not a result of a task; there are {', '.join(RESULTS)}")
            return expression
        case Operation(operator, operands):
            return Operation(operator, tuple(map(_expanded, operands)))
        case _:
            return expression
