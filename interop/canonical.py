"""One text per value, so that answers of different engines can be compared.

| type            | text                                                            |
|-----------------|-----------------------------------------------------------------|
| null            | JSON null                                                       |
| integers        | digits                                                          |
| decimal         | digits with exactly the scale's number of fraction digits       |
| float, double   | shortest text that reads back equal; NaN, Infinity, -0.0        |
| boolean         | true, false                                                     |
| string          | itself                                                          |
| date            | YYYY-MM-DD                                                      |
| time            | HH:MM:SS.ffffff                                                 |
| timestamp       | YYYY-MM-DDTHH:MM:SS.ffffff, with zone in UTC and a `Z` behind   |
| uuid            | lower-case hex with dashes                                      |
| binary, fixed   | lower-case hex                                                  |
| list            | JSON array of texts                                             |
| struct          | JSON object of texts in the schema's field order                |
| map             | JSON array of [key, value] sorted by key text                   |
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import re
import struct
import uuid

import pyarrow as pa

TIMESTAMP = re.compile(r"(-?\d{4,})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?)?(Z|[+-].*)?$")


def kind(dtype: pa.DataType) -> str:
    """The name of a type as far as it decides the canonical text."""
    t = pa.types
    if isinstance(dtype, pa.BaseExtensionType):
        named = {"arrow.uuid": "uuid", "arrow.bool8": "boolean"}
        return named.get(dtype.extension_name) or kind(dtype.storage_type)
    if t.is_dictionary(dtype):
        return kind(dtype.value_type)
    if t.is_decimal(dtype):
        return f"decimal({dtype.scale})" if dtype.scale else "int"
    if t.is_timestamp(dtype):
        return "timestamptz" if dtype.tz else "timestamp"
    if t.is_struct(dtype):
        fields = [f"{dtype.field(i).name}:{kind(dtype.field(i).type)}" for i in range(dtype.num_fields)]
        return f"struct<{','.join(fields)}>"
    if t.is_map(dtype):
        return f"map<{kind(dtype.key_type)},{kind(dtype.item_type)}>"
    if t.is_list(dtype) or t.is_large_list(dtype) or t.is_fixed_size_list(dtype):
        return f"list<{kind(dtype.value_type)}>"
    for name, belongs in _SIMPLE:
        if belongs(dtype):
            return name
    raise ValueError(f"no canonical text for {dtype}")


_SIMPLE = [
    ("null", pa.types.is_null),
    ("int", pa.types.is_integer),
    ("float", pa.types.is_float32),
    ("double", pa.types.is_float64),
    ("boolean", pa.types.is_boolean),
    ("string", lambda d: pa.types.is_string(d) or pa.types.is_large_string(d) or d == pa.string_view()),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("binary", lambda d: pa.types.is_binary(d) or pa.types.is_large_binary(d)
     or pa.types.is_fixed_size_binary(d) or d == pa.binary_view()),
]


def rows_of(
    table: pa.Table, known: dict[str, str] | None = None
) -> tuple[list[str], list[str], list[list[str | None]]]:
    """Column names, kinds and canonical rows of an Arrow table.

    `known` has the kinds of columns of which an engine does not show the true type.
    """
    names = table.column_names
    kinds = [(known or {}).get(field.name) or kind(field.type) for field in table.schema]
    columns = [
        [text(value, expected) for value in column.to_pylist()]
        for column, expected in zip(table.columns, kinds)
    ]
    return names, kinds, [list(row) for row in zip(*columns)] if columns else []


def text(value, expected: str) -> str | None:
    """Canonical text of one value: of Arrow's Python objects and of parsed JSON alike."""
    if value is None:
        return None
    if expected.startswith(("list<", "struct<", "map<")):
        return json.dumps(_nested(value, expected), ensure_ascii=False, separators=(",", ":"))
    return _scalar(value, expected)


def _nested(value, expected: str):
    if value is None:
        return None
    inner = expected[expected.index("<") + 1 : -1] if "<" in expected else ""
    if expected.startswith("list<"):
        return [_nested(item, inner) for item in value]
    if expected.startswith("struct<"):
        names_and_kinds = [part.split(":", 1) for part in _split(inner)]
        return {name: _nested(value.get(name), part) for name, part in names_and_kinds}
    if expected.startswith("map<"):
        key, item = _split(inner)
        pairs = value.items() if isinstance(value, dict) else value
        return sorted([_scalar(k, key), _nested(v, item)] for k, v in pairs)
    return _scalar(value, expected)


def _split(inner: str) -> list[str]:
    """Splits `a:int,b:list<int>` on the commas of its own level."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(inner):
        depth += (char == "<") - (char == ">")
        if char == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    parts.append(inner[start:])
    return parts


def _scalar(value, expected: str) -> str:
    if expected.startswith("decimal("):
        scale = int(expected[8:-1])
        with decimal.localcontext(prec=80):
            number = decimal.Decimal(str(value)).quantize(decimal.Decimal(1).scaleb(-scale))
        return f"{number:f}"
    return _TEXT[expected](value)


def _int(value) -> str:
    return str(int(decimal.Decimal(str(value))))


def _double(value) -> str:
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return repr(number)


def _float(value) -> str:
    """Shortest digits that give the same 32-bit float back."""
    number = float(value)
    if math.isnan(number) or math.isinf(number):
        return _double(number)
    narrow = struct.unpack("f", struct.pack("f", number))[0]
    for digits in range(1, 10):
        short = float(f"{narrow:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == narrow:
            return repr(short)
    return repr(narrow)


def _binary(value) -> str:
    if isinstance(value, uuid.UUID):
        return value.bytes.hex()
    return bytes.fromhex(value).hex() if isinstance(value, str) else bytes(value).hex()


def _uuid(value) -> str:
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))


def _time(value) -> str:
    if isinstance(value, datetime.time):
        return value.isoformat("microseconds")
    head, _, fraction = str(value).partition(".")
    return f"{head}.{fraction[:6]:0<6}"


def _timestamp(value) -> str:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return value.isoformat(timespec="microseconds")
    found = TIMESTAMP.match(str(value))
    if not found:
        raise ValueError(f"not a timestamp: {value!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if zone not in (None, "Z", "+00", "+00:00", "+0000"):
        moved = datetime.datetime.fromisoformat(str(value))
        return _timestamp(moved)
    clock = f"{hour or '00'}:{minute or '00'}:{second or '00'}.{(fraction or '')[:6]:0<6}"
    return f"{year}-{month}-{day}T{clock}"


_TEXT = {
    "null": lambda value: str(value),
    "int": _int,
    "float": _float,
    "double": _double,
    "boolean": lambda value: str(value).lower(),
    "string": str,
    "date": lambda value: str(value)[:10],
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": lambda value: _timestamp(value) + "Z",
    "uuid": _uuid,
    "binary": _binary,
}


def sorted_rows(rows: list[list[str | None]]) -> list[list[str | None]]:
    """Rows as a multiset: in an order that does not depend on the engine."""
    return sorted(rows, key=lambda row: [(cell is not None, cell or "") for cell in row])
