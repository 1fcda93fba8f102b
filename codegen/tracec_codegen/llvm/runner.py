"""The plan runner, as LLVM IR: one native call executes all kernels of a plan.

A plan is an array of 8-byte words, for each step

    fn address, number of arguments, extent, grain, argument...

where extent and arguments are indices into the table, an array of 8-byte words that holds buffer
addresses and sizes; extent -1 stands for one iteration.  Each step's arguments are gathered from
the table and the kernel is called as `fn(args, lo, hi, scratch)`.  A step of at most |grain|
iterations runs serially on the caller; a longer one is cut into chunks of at least |grain|
iterations, about four a thread, or, if the grain is negative, one a thread.

Table word 0 is the address of a 64-byte error record of eight words: the error code that a kernel
may set (0 is none), then the number of the step that was running (written here), five words that
the kernel fills, and last an interrupt word that anybody may set to stop the plan.

    tracec_run_plan(steps, nsteps, table, scratch, scratch_per_thread, nthreads) -> status

nthreads 0 means as many as the pool has.  A null `scratch` lets the runner allocate it and keep it
for the next plan.  Status: 0 done, 1 a kernel set an error code, 2 interrupted, 3 out of memory.

The launcher is the same for Python: a METH_FASTCALL function `launch(record, *words)`, whose
record is the address of seven words: the six parameters above and the table index at which the
words (Python ints) are stored first.  It gives up the GIL, looks for signals every few
milliseconds between steps, and returns the status as a Python int.
"""

from __future__ import annotations

from ..target import Target
from .pool import add_pool
from .text import NULL, Function, Module, Value, constant

RUNNER_SYMBOLS = ("tracec_run_plan",)
LAUNCHER_SYMBOLS = ("tracec_launch", "tracec_launch_record")
DONE, FAILED, INTERRUPTED, NO_MEMORY = range(4)
ERROR_WORDS = 8
ERROR_STEP, ERROR_INTERRUPT = 1, 7
RECORD_WORDS = 7
_CHUNKS_PER_THREAD = 4
_POLL_CYCLES = 1 << 25                       # about 10 ms
_CONTEXT_WORDS = 6                           # fn, args, extent, chunk, scratch, bytes per thread
_HEADER = 64                                 # size word before a kept scratch area


def runner_ir(target: Target, launcher: bool = True) -> str:
    """Text of the object with pool and runner; `launcher` adds the entry points for Python."""
    module = Module("; thread pool and plan runner")
    add_pool(module, target)
    _add_chunk(module)
    _add_scratch(module)
    _add_run_plan(module)
    if launcher:
        _add_launcher(module)
    return str(module)


def _word(f: Function, base: Value, index: Value | int, type: str = "i64") -> Value:
    return f.load(type, f.gep(base, index, "i64"), 8)


def _add_chunk(module: Module) -> None:
    """One chunk of a parallel step, as the pool calls it."""
    f = module.function("run_chunk", [("ctx", "ptr"), ("i", "i64"), ("worker", "i64")],
                        internal=True)
    ctx, i, worker = f.parameters
    fn, args = _word(f, ctx, 0, "ptr"), _word(f, ctx, 1, "ptr")
    extent, chunk = _word(f, ctx, 2), _word(f, ctx, 3)
    scratch = f.gep(_word(f, ctx, 4, "ptr"), f.mul(worker, _word(f, ctx, 5)), "i8")
    low = f.mul(i, chunk)
    f.call(fn, "void", args, low, f.smin(f.add(low, chunk), extent), scratch)
    f.ret()


def _add_scratch(module: Module) -> None:
    """take/give: one scratch area is kept between plans; simultaneous plans get their own."""
    spare = module.add_global("scratch_spare", "ptr", "null", align=64)
    f = module.function("scratch_take", [("size", "i64")], "ptr", internal=True)
    size = f.parameters[0]
    kept = f.value(f"atomicrmw xchg ptr {spare}, ptr null acq_rel, align 8", "ptr")

    def renew() -> list[Value]:
        f.call("free", "void", kept)
        whole = f.add(f.and_(f.add(size, 4095), -4096), 4096)
        made = f.call("aligned_alloc", "ptr", constant("i64", _HEADER), whole)
        with f.when(f.icmp("ne", made, NULL)):
            f.store(f.sub(whole, _HEADER), made)
        return [made]

    def reuse() -> list[Value]:
        fits = f.icmp("uge", f.load("i64", kept), size)
        return f.branch(fits, lambda: [kept], renew)

    f.ret(f.branch(f.icmp("eq", kept, NULL), renew, reuse)[0])

    g = module.function("scratch_give", [("area", "ptr")], internal=True)
    old = g.value(f"atomicrmw xchg ptr {spare}, ptr {g.parameters[0]} acq_rel, align 8", "ptr")
    g.call("free", "void", old)
    g.ret()


def _add_run_plan(module: Module) -> None:
    poll = module.add_global("run_poll", "ptr", "null")      # set by the launcher
    f = module.function("tracec_run_plan", [
        ("steps", "ptr"), ("nsteps", "i64"), ("table", "ptr"), ("scratch", "ptr"),
        ("per", "i64"), ("nthreads", "i64")], "i64")
    steps, nsteps, table, scratch, per_thread, nthreads = f.parameters
    nthreads = f.select(f.icmp("slt", nthreads, 1), f.call("tracec_threads", "i64"), nthreads)
    context = f.alloca("i64", _CONTEXT_WORDS)
    error = f.load("ptr", table)
    per_thread = f.and_(f.add(per_thread, 63), -64)
    own = f.and_(f.icmp("eq", scratch, NULL), f.icmp("ne", per_thread, 0))
    area = f.branch(own, lambda: [f.call("scratch_take", "ptr", f.mul(per_thread, nthreads))],
                    lambda: [NULL])[0]
    base = f.select(own, f.gep(area, _HEADER, "i8"), scratch)
    starved = f.and_(own, f.icmp("eq", area, NULL))
    status = f.select(starved, constant("i64", NO_MEMORY), constant("i64", DONE))

    def step(at: Value, number: Value, status: Value, seen: Value) -> list[Value]:
        _run_step(f, at, table, base, per_thread, nthreads, context)
        count = _word(f, at, 1)
        failed = f.icmp("ne", f.load("i64", error), 0)
        stop = f.value(f"load atomic i64, ptr {f.gep(error, ERROR_INTERRUPT, 'i64')} monotonic, "
                       "align 8", "i64")
        now = f.call("llvm.readcyclecounter", "i64")
        due = f.icmp("ugt", f.sub(now, seen), _POLL_CYCLES)
        polled, last_look = f.branch(
            due, lambda: [_poll(f, poll), now], lambda: [constant("i64", 0), seen])
        interrupted = f.icmp("ne", f.or_(stop, polled), 0)
        status = f.select(failed, constant("i64", FAILED), f.select(
            interrupted, constant("i64", INTERRUPTED), constant("i64", DONE)))
        with f.when(f.icmp("ne", status, DONE)):
            f.store(number, f.gep(error, ERROR_STEP, "i64"))
        return [f.gep(at, f.add(count, 4), "i64"), f.add(number, 1), status, last_look]

    out = f.while_loop(
        [steps, constant("i64", 0), status, f.call("llvm.readcyclecounter", "i64")],
        lambda at, number, status, seen: f.and_(f.icmp("slt", number, nsteps),
                                                f.icmp("eq", status, DONE)), step)
    with f.when(f.icmp("ne", area, NULL)):
        f.call("scratch_give", "void", area)
    f.ret(out[2])


def _poll(f: Function, poll: Value) -> Value:
    """Result of the poll function, 0 if there is none."""
    fn = f.load("ptr", poll)
    return f.branch(f.icmp("ne", fn, NULL), lambda: [f.call(fn, "i64")],
                    lambda: [constant("i64", 0)])[0]


def _run_step(f: Function, at: Value, table: Value, scratch: Value, per_thread: Value,
              nthreads: Value, context: Value) -> None:
    """Gather the arguments of the step at `at` and call its kernel, in chunks if it is long."""
    fn, count = _word(f, at, 0, "ptr"), _word(f, at, 1)
    where, grain = _word(f, at, 2), _word(f, at, 3)
    mark = f.call("llvm.stacksave.p0", "ptr")
    args = f.value(f"alloca i64, i64 {count}, align 16", "ptr")
    first = f.gep(at, 4, "i64")
    with f.loop(0, count) as i:
        word = _word(f, table, _word(f, first, i.index))
        f.store(word, f.gep(args, i.index, "i64"))
    extent = f.branch(f.icmp("slt", where, 0), lambda: [constant("i64", 1)],
                      lambda: [_word(f, table, where)])[0]
    least = f.smax(f.abs(grain), 1)
    alone = f.or_(f.icmp("sle", extent, least), f.icmp("sle", nthreads, 1))

    def serial() -> None:
        f.call(fn, "void", args, constant("i64", 0), extent, scratch)

    def parallel() -> None:
        parts = f.select(f.icmp("slt", grain, 0), nthreads, f.mul(nthreads, _CHUNKS_PER_THREAD))
        chunk = f.smax(least, f.ceil_div(extent, parts))
        for k, value in enumerate((fn, args, extent, chunk, scratch, per_thread)):
            f.store(value, f.gep(context, k, "i64"))
        f.call("tracec_parallel", "void", Value("@run_chunk", "ptr"), context,
               f.ceil_div(extent, chunk), nthreads)

    f.branch(alone, serial, parallel)
    f.call("llvm.stackrestore.p0", "void", mark)


def _add_launcher(module: Module) -> None:
    """Entry points that hold the GIL when called, and give it up while the plan runs."""
    poll = module.function("poll_signals", [], "i64", internal=True)
    state = poll.call("PyGILState_Ensure", "i32")
    pending = poll.call("PyErr_CheckSignals", "i32")
    poll.call("PyGILState_Release", "void", state)
    poll.ret(poll.cast("sext", pending, "i64"))

    f = module.function("tracec_launch_record", [("record", "ptr")], "i64")
    record = f.parameters[0]
    f.store(poll.address, Value("@run_poll", "ptr"))
    thread = f.call("PyEval_SaveThread", "ptr")
    status = f.call("tracec_run_plan", "i64", *(
        _word(f, record, k, t) for k, t in enumerate(("ptr", "i64", "ptr", "ptr", "i64", "i64"))))
    f.call("PyEval_RestoreThread", "void", thread)
    f.ret(status)

    g = module.function("tracec_launch", [("self", "ptr"), ("args", "ptr"), ("n", "i64")], "ptr")
    _, args, n = g.parameters
    record = g.call("PyLong_AsVoidPtr", "ptr", _word(g, args, 0, "ptr"))
    cells = g.gep(_word(g, record, 2, "ptr"), _word(g, record, 6), "i64")
    with g.loop(1, n) as i:
        number = g.call("PyLong_AsLongLong", "i64", _word(g, args, i.index, "ptr"))
        g.store(number, g.gep(cells, g.sub(i.index, 1), "i64"))

    def launched() -> list[Value]:
        status = g.call("tracec_launch_record", "i64", record)
        # A signal handler may have raised; then the exception is the result.
        return g.branch(g.icmp("eq", status, INTERRUPTED),
                        lambda: g.branch(g.icmp("ne", g.call("PyErr_Occurred", "ptr"), NULL),
                                         lambda: [NULL],
                                         lambda: [g.call("PyLong_FromLongLong", "ptr", status)]),
                        lambda: [g.call("PyLong_FromLongLong", "ptr", status)])

    bad = g.icmp("ne", g.call("PyErr_Occurred", "ptr"), NULL)
    g.ret(g.branch(bad, lambda: [NULL], launched)[0])
