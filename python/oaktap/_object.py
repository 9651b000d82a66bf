"""Documents of the program's JSON as objects."""


class Fields(dict):
    """A dictionary whose values are attributes, too: `ledger.frames.confirmed`."""

    __slots__ = ()

    def __init__(self, values=(), /):
        super().__init__()
        for name, value in dict(values).items():
            self[name] = _fields(value)

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            known = ", ".join(map(str, self))
            raise AttributeError(f"no field {name!r}: expected one of {known}", name=name, obj=self) from None

    def __dir__(self):
        return [*dir(type(self)), *(name for name in self if isinstance(name, str))]


def _fields(value):
    if isinstance(value, dict):
        return Fields(value)
    if isinstance(value, list):
        return [_fields(item) for item in value]
    return value
