"""A pickle machine that builds data and runs nothing.

Weight files are pickles, and a pickle is a program: `REDUCE` calls whatever `GLOBAL` names. This machine knows
a fixed list of names, each of which stands for a function of ours that only makes data; any other name, and any
opcode it has no use for, is refused before it does anything. Bytes are taken apart by the standard library's
`pickletools.genops`, which runs nothing either.
"""

import pickletools


class WeightsError(Exception):
    """What is wrong with a file, for people."""


class Inert:
    """Stands for an object that is not needed. Its state is dropped."""


class Function:
    """A name that a pickle may call: `make` gets the arguments that the pickle gives."""

    def __init__(self, name, make):
        self.name, self.make = name, make

    def __call__(self, *arguments):
        try:
            return self.make(*arguments)
        except WeightsError:
            raise
        except Exception as error:  # whatever a hostile argument sets off is the file's fault
            raise WeightsError(f"'{self.name}' was called with arguments it cannot have ({error})") from error


MARK = object()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NOTHING = {"PROTO", "FRAME"}


class Machine:
    """Runs one pickle. `functions`: (module, name) -> Function. `persistent`: what BINPERSID gives for an id."""

    def __init__(self, functions, persistent=None):
        self.functions, self.persistent = functions, persistent
        self.stack, self.memo = [], {}

    def load(self, stream):
        """The value of the pickle that begins at the stream's position; the stream then stands behind it."""
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "STOP":
                    return self.pop()
                self.step(opcode.name, argument)
        except WeightsError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise WeightsError(f"a damaged pickle ({error})") from error
        raise WeightsError("a pickle without an end")

    def pop(self):
        if not self.stack or self.stack[-1] is MARK:
            raise WeightsError("a damaged pickle (its stack is empty)")
        return self.stack.pop()

    def pop_to_mark(self):
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is MARK:
                items = self.stack[at + 1:]
                del self.stack[at:]
                return items
        raise WeightsError("a damaged pickle (a mark is missing)")

    def top(self, kind):
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise WeightsError(f"a damaged pickle (expected {kind.__name__} on its stack)")
        return self.stack[-1]

    def step(self, name, argument):
        if name in LITERALS:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self.stack.append(EMPTY[name]())
        elif name in TUPLES:
            items = [self.pop() for _ in range(TUPLES[name])]
            self.stack.append(tuple(reversed(items)))
        elif name not in NOTHING:
            handler = getattr(self, "do_" + name.lower(), None)
            if handler is None:
                raise WeightsError(f"the pickle uses the opcode {name}, which weights have no use for; refused")
            handler(argument)

    def do_mark(self, _):
        self.stack.append(MARK)

    def do_tuple(self, _):
        self.stack.append(tuple(self.pop_to_mark()))

    def do_list(self, _):
        self.stack.append(self.pop_to_mark())

    def do_dict(self, _):
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items(items)

    def do_append(self, _):
        item = self.pop()
        self.top(list).append(item)

    def do_appends(self, _):
        items = self.pop_to_mark()
        self.top(list).extend(items)

    def do_setitem(self, _):
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def do_setitems(self, _):
        self.set_items(self.pop_to_mark())

    def set_items(self, items):
        target = self.top(dict)
        if len(items) % 2:
            raise WeightsError("a damaged pickle (a key without a value)")
        target.update(zip(items[::2], items[1::2]))

    def do_memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def do_put(self, argument):
        self.memo[argument] = self.stack[-1]

    do_binput = do_long_binput = do_put

    def do_get(self, argument):
        self.stack.append(self.memo[argument])

    do_binget = do_long_binget = do_get

    def do_global(self, argument):
        module, _, name = argument.partition(" ")
        self.push_function(module, name)

    def do_stack_global(self, _):
        name, module = self.pop(), self.pop()
        self.push_function(module, name)

    def push_function(self, module, name):
        function = self.functions.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if function is None:
            raise WeightsError(f"the pickle asks for '{module}.{name}', which weights have no use for; refused")
        self.stack.append(function)

    def do_reduce(self, _):
        arguments = self.pop()
        function = self.top(Function)
        if not isinstance(arguments, tuple):
            raise WeightsError("a damaged pickle (arguments that are no tuple)")
        self.stack[-1] = function(*arguments)

    def do_newobj(self, _):
        self.pop()
        if self.top(Function).make is not Inert:
            raise WeightsError(f"the pickle makes a '{self.stack[-1].name}' behind its maker's back; refused")
        self.stack[-1] = Inert()

    def do_build(self, _):
        state = self.pop()
        target = self.stack[-1] if self.stack else None
        if hasattr(target, "set_state"):
            target.set_state(state)
        elif not isinstance(target, (Inert, dict)):  # an OrderedDict's attributes are dropped
            raise WeightsError(f"the pickle sets the state of a {type(target).__name__}; refused")

    def do_binpersid(self, _):
        if self.persistent is None:
            raise WeightsError("the pickle asks for outside storage, which this kind of file does not have; refused")
        self.stack.append(self.persistent(self.pop()))
