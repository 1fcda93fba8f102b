"""The thread pool, as LLVM IR: persistent pthread workers that sleep on a futex.

    tracec_parallel(fn, ctx, n, limit)  run fn(ctx, i, worker) for i in [0, n) on workers below
                                        `limit`; worker 0 is the caller
    tracec_set_threads(n)               stop the workers; the next region starts n - 1 new ones
    tracec_threads() -> n
    tracec_pool_stop()                  end and join the workers
    tracec_pool_reset()                 forget the workers (in the child after fork: none exist)

A region is one 64-bit ticket: its number in the upper half, the next free chunk in the lower.  A
worker claims a chunk by compare-and-swap on the whole ticket, so that a worker that wakes late
cannot touch a later region by mistake, and a region ends as soon as its chunks are done: it never
waits for workers that slept through it.

Waiting costs about 200 looks (a pause, then a sched_yield each), then the worker sleeps.  Yielding
matters: where caller and worker share a CPU, a bare spin would hold back the thread it waits for.
For the same reason workers avoid the CPU on which the pool was started.  Workers block all
signals, so that Python's handlers run on Python's threads.  A region that is posted while another
runs (from another Python thread, or nested) runs serially on its caller.
"""

from __future__ import annotations

from collections.abc import Callable

from ..target import Target
from .text import NULL, Function, Module, Value, constant

MAX_THREADS = 256
_LOOKS = 200
_PAUSES = 64
_CPU_SET_BYTES = 128
_SIGNAL_SET_BYTES = 128
_FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98}
_WAIT_PRIVATE, _WAKE_PRIVATE = 128, 129
_SIG_BLOCK, _SIG_SETMASK = 0, 2

POOL_SYMBOLS = ("tracec_parallel", "tracec_set_threads", "tracec_threads", "tracec_pool_stop",
                "tracec_pool_reset")


def has_threads(target: Target) -> bool:
    """Whether the pool can start workers on this system; elsewhere regions run serially."""
    return target.is_linux and target.arch in _FUTEX_NUMBERS


def add_pool(module: Module, target: Target) -> None:
    """Define the pool's functions in the module."""
    _Pool(module, target).build()


class _Pool:
    def __init__(self, module: Module, target: Target) -> None:
        self.module = module
        self.target = target
        # Every word that one side polls while another writes has a cache line of its own.
        self.ticket = module.add_global("pool_ticket", "{ i64, [7 x i64] }", align=64)
        self.done = module.add_global("pool_done", "{ i64, [7 x i64] }", align=64)
        self.asleep = module.add_global("pool_asleep", "{ i32, [15 x i32] }", align=64)
        self.busy = module.add_global("pool_busy", "{ i32, [15 x i32] }", align=64)
        self.fn = module.add_global("pool_fn", "ptr", "null", align=64)
        self.ctx = module.add_global("pool_ctx", "ptr", "null")
        self.total = module.add_global("pool_total", "i64")
        self.limit = module.add_global("pool_limit", "i64")
        self.quit = module.add_global("pool_quit", "i32")
        self.started = module.add_global("pool_started", "i64")     # workers that exist
        self.wanted = module.add_global("pool_wanted", "i64", "1")  # threads, with the caller
        self.threads = module.add_global("pool_threads", f"[{MAX_THREADS} x i64]")

    def build(self) -> None:
        if has_threads(self.target):
            self._relax()
            self._drain()
            self._worker()
            self._start()
            self._post()
        self._parallel()
        self._control()

    # ---- pieces shared by the functions ----------------------------------------------------

    def _epoch_word(self, f: Function) -> Value:
        """Address of the region number: the upper half of the little-endian ticket."""
        return f.gep(self.ticket, 4, "i8")

    def _futex(self, f: Function, operation: int, number: Value) -> None:
        f.call("syscall", "i64", constant("i64", _FUTEX_NUMBERS[self.target.arch]),
               self._epoch_word(f), constant("i32", operation), number, NULL, NULL,
               constant("i32", 0), variadic=1)

    def _relax(self) -> None:
        """One look's worth of waiting: a pause, and later on also the CPU to others."""
        f = self.module.function("pool_relax", [("look", "i64")], internal=True)
        if self.target.arch == "x86_64":
            f.call("llvm.x86.sse2.pause", "void")
        else:
            f.call("llvm.aarch64.hint", "void", constant("i32", 1))
        with f.when(f.icmp("ugt", f.parameters[0], _PAUSES)):
            f.call("sched_yield", "i32")
        f.ret()

    def _drain(self) -> None:
        """Run chunks of region `epoch` until none is left, and report how many it ran."""
        f = self.module.function("pool_drain", [("epoch", "i64"), ("fn", "ptr"), ("ctx", "ptr"),
                                                ("total", "i64"), ("worker", "i64")],
                                 internal=True)
        epoch, fn, ctx, total, worker = f.parameters
        look, claim, work, out = (f.new_block(n) for n in ("look", "claim", "work", "out"))
        entry = f.label
        f.jump(look)
        f.start_block(look)
        ran = f.open_phi("i64")
        ticket = f.value(f"load atomic i64, ptr {self.ticket} acquire, align 8", "i64")
        chunk = f.and_(ticket, 0xFFFFFFFF)
        mine = f.and_(f.icmp("eq", f.lshr(ticket, 32), epoch), f.icmp("ult", chunk, total))
        f.jump_if(mine, claim, out)
        f.start_block(claim)
        pair = f.value(f"cmpxchg ptr {self.ticket}, i64 {ticket}, i64 {f.add(ticket, 1)} "
                       "acq_rel acquire, align 8", "{ i64, i1 }")
        f.jump_if(f.value(f"extractvalue {{ i64, i1 }} {pair}, 1", "i1"), work, look)
        f.start_block(work)
        f.call(fn, "void", ctx, chunk, worker)
        more = f.add(ran, 1)
        f.jump(look)
        f.close_phi(ran, [(0, entry), (ran, claim), (more, work)])
        f.start_block(out)
        with f.when(f.icmp("ne", ran, 0)):
            f.do(f"{f.new_block('%x')} = atomicrmw add ptr {self.done}, i64 {ran} release, align 8")
        f.ret()

    def _worker(self) -> None:
        """Thread body; the argument packs the region number last seen and the worker's index."""
        f = self.module.function("pool_worker", [("arg", "ptr")], "ptr", internal=True)
        packed = f.cast("ptrtoint", f.parameters[0], "i64")
        worker = f.and_(packed, 0xFFFF)
        first = f.cast("trunc", f.lshr(packed, 16), "i32")

        def current() -> Value:
            return f.value(f"load atomic i32, ptr {self._epoch_word(f)} seq_cst, align 4", "i32")

        def wait(seen: Value) -> Value:
            """The number of a region other than `seen`: looks first, then sleep."""
            looked = f.while_loop(
                [constant("i64", 0), seen],
                lambda k, now: f.and_(f.icmp("eq", now, seen), f.icmp("ult", k, _LOOKS)),
                lambda k, now: (f.call("pool_relax", "void", k), [f.add(k, 1), current()])[1])

            def sleep(now: Value) -> list[Value]:
                f.do(f"{f.new_block('%x')} = atomicrmw add ptr {self.asleep}, i32 1 seq_cst")
                with f.when(f.icmp("eq", current(), seen)):
                    self._futex(f, _WAIT_PRIVATE, seen)
                f.do(f"{f.new_block('%x')} = atomicrmw sub ptr {self.asleep}, i32 1 seq_cst")
                return [current()]

            return f.while_loop([looked[1]], lambda now: f.icmp("eq", now, seen), sleep)[0]

        def running(seen: Value) -> Value:
            stop = f.value(f"load atomic i32, ptr {self.quit} acquire, align 4", "i32")
            return f.icmp("eq", stop, 0)

        def turn(seen: Value) -> list[Value]:
            # What is read here belongs to region `seen` or to a later one; in the second case
            # the claim in pool_drain fails and nothing read is used.
            fn = f.value(f"load atomic ptr, ptr {self.fn} monotonic, align 8", "ptr")
            ctx = f.value(f"load atomic ptr, ptr {self.ctx} monotonic, align 8", "ptr")
            total = f.value(f"load atomic i64, ptr {self.total} monotonic, align 8", "i64")
            limit = f.value(f"load atomic i64, ptr {self.limit} monotonic, align 8", "i64")
            with f.when(f.icmp("ult", worker, limit)):
                f.call("pool_drain", "void", f.cast("zext", seen, "i64"), fn, ctx, total, worker)
            return [wait(seen)]

        f.while_loop([wait(first)], running, turn)
        f.ret(NULL)

    def _start(self) -> None:
        """Start the wanted workers; as many as the system grants are used."""
        f = self.module.function("pool_start", [], internal=True)
        blocked = f.alloca("i8", _SIGNAL_SET_BYTES)
        old = f.alloca("i8", _SIGNAL_SET_BYTES)
        cpus = f.alloca("i8", _CPU_SET_BYTES)
        f.memset(blocked, 0xFF - 256, _SIGNAL_SET_BYTES)
        f.call("pthread_sigmask", "i32", constant("i32", _SIG_BLOCK), blocked, old)
        f.do(f"store atomic i32 0, ptr {self.quit} release, align 4")
        here = f.cast("sext", f.call("sched_getcpu", "i32"), "i64")
        epoch = f.value(f"load atomic i32, ptr {self._epoch_word(f)} acquire, align 4", "i32")
        tag = f.shl(f.cast("zext", epoch, "i64"), 16)
        workers = f.sub(f.load("i64", self.wanted), 1)

        def create(i: Value, ok: Value) -> list[Value]:
            slot = f.gep(self.threads, i, "i64")
            argument = f.cast("inttoptr", f.or_(tag, f.add(i, 1)), "ptr")
            failed = f.call("pthread_create", "i32", slot, NULL, Value("@pool_worker", "ptr"),
                            argument)
            fine = f.icmp("eq", failed, 0)
            with f.when(fine):
                self._avoid_cpu(f, f.load("i64", slot), here, cpus)
            return [f.add(i, f.cast("zext", fine, "i64")), fine]

        made = f.while_loop([constant("i64", 0), constant("i1", 1)],
                            lambda i, ok: f.and_(ok, f.icmp("slt", i, workers)), create)[0]
        f.store(made, self.started)
        with f.when(f.icmp("slt", made, workers)):
            f.store(f.add(made, 1), self.wanted)
        f.call("pthread_sigmask", "i32", constant("i32", _SIG_SETMASK), old, NULL)
        f.ret()

    def _avoid_cpu(self, f: Function, thread: Value, cpu: Value, cpus: Value) -> None:
        """Take one CPU out of a thread's affinity; an empty set is refused, changing nothing."""
        size = constant("i64", _CPU_SET_BYTES)
        known = f.and_(f.icmp("sge", cpu, 0), f.icmp("slt", cpu, _CPU_SET_BYTES * 8))
        with f.when(known):
            f.call("pthread_getaffinity_np", "i32", thread, size, cpus)
            word = f.gep(cpus, f.lshr(cpu, 6), "i64")
            bit = f.shl(constant("i64", 1), f.and_(cpu, 63))
            f.store(f.and_(f.load("i64", word), f.not_(bit)), word)
            f.call("pthread_setaffinity_np", "i32", thread, size, cpus)

    def _post(self) -> None:
        """Open the next region and wake as many sleepers as it can use; returns its number."""
        f = self.module.function("pool_post", [("useful", "i64")], "i64", internal=True)
        old = f.value(f"load atomic i64, ptr {self.ticket} monotonic, align 8", "i64")
        epoch = f.and_(f.add(f.lshr(old, 32), 1), 0xFFFFFFFF)
        f.do(f"{f.new_block('%x')} = atomicrmw xchg ptr {self.ticket}, i64 {f.shl(epoch, 32)} "
             "seq_cst, align 8")
        asleep = f.value(f"load atomic i32, ptr {self.asleep} seq_cst, align 4", "i32")
        with f.when(f.icmp("ne", asleep, 0)):
            number = f.cast("trunc", f.smin(f.parameters[0], MAX_THREADS), "i32")
            self._futex(f, _WAKE_PRIVATE, number)
        f.ret(epoch)

    # ---- what others call ------------------------------------------------------------------

    def _parallel(self) -> None:
        f = self.module.function("tracec_parallel", [("fn", "ptr"), ("ctx", "ptr"), ("n", "i64"),
                                                     ("limit", "i64")])
        fn, ctx, n, limit = f.parameters

        def serial() -> None:
            with f.loop(0, n) as i:
                f.call(fn, "void", ctx, i.index, constant("i64", 0))

        if not has_threads(self.target):
            serial()
            f.ret()
            return
        pooled, mine, alone, out = (f.new_block(n) for n in ("pooled", "mine", "alone", "out"))
        usable = f.smin(limit, f.load("i64", self.wanted))
        many = f.and_(f.icmp("ugt", n, 1), f.icmp("sgt", usable, 1))
        f.jump_if(many, pooled, alone)
        f.start_block(pooled)
        pair = f.value(f"cmpxchg ptr {self.busy}, i32 0, i32 1 acquire monotonic", "{ i32, i1 }")
        f.jump_if(f.value(f"extractvalue {{ i32, i1 }} {pair}, 1", "i1"), mine, alone)
        f.start_block(alone)
        serial()
        f.jump(out)
        f.start_block(mine)
        with f.when(f.icmp("eq", f.load("i64", self.started), 0)):
            f.call("pool_start", "void")
        f.do(f"store atomic i64 0, ptr {self.done} monotonic, align 8")
        f.do(f"store atomic ptr {fn}, ptr {self.fn} monotonic, align 8")
        f.do(f"store atomic ptr {ctx}, ptr {self.ctx} monotonic, align 8")
        f.do(f"store atomic i64 {n}, ptr {self.total} monotonic, align 8")
        f.do(f"store atomic i64 {limit}, ptr {self.limit} monotonic, align 8")
        epoch = f.call("pool_post", "i64", f.sub(n, 1))
        f.call("pool_drain", "void", epoch, fn, ctx, n, constant("i64", 0))

        def left(k: Value) -> Value:
            done = f.value(f"load atomic i64, ptr {self.done} acquire, align 8", "i64")
            return f.icmp("ne", done, n)

        f.while_loop([constant("i64", 0)], left,
                     lambda k: (f.call("pool_relax", "void", k), [f.add(k, 1)])[1])
        f.do(f"store atomic i32 0, ptr {self.busy} release, align 4")
        f.jump(out)
        f.start_block(out)
        f.ret()

    def _control(self) -> None:
        threads = self.module.function("tracec_threads", [], "i64")
        threads.ret(threads.load("i64", self.wanted))

        reset = self.module.function("tracec_pool_reset", [])
        reset.store(constant("i64", 0), self.started)
        for word in (self.asleep, self.busy):
            reset.do(f"store atomic i32 0, ptr {word} release, align 4")
        reset.ret()

        self._exclusive("tracec_pool_stop", [], lambda f: None)
        self._exclusive("tracec_set_threads", [("n", "i64")], lambda f: f.store(
            f.smax(f.smin(f.parameters[0], MAX_THREADS if has_threads(self.target) else 1), 1),
            self.wanted))

    def _exclusive(self, name: str, parameters: list[tuple[str, str]],
                   then: Callable[[Function], None]) -> None:
        """A function that waits until no region runs, ends all workers and does `then`."""
        f = self.module.function(name, parameters)
        if has_threads(self.target):
            def taken(k: Value, got: Value) -> Value:
                return f.not_(got)

            def take(k: Value, got: Value) -> list[Value]:
                pair = f.value(f"cmpxchg ptr {self.busy}, i32 0, i32 1 acquire monotonic",
                               "{ i32, i1 }")
                won = f.value(f"extractvalue {{ i32, i1 }} {pair}, 1", "i1")
                with f.when(f.not_(won)):
                    f.call("pool_relax", "void", k)
                return [f.add(k, 1), won]

            f.while_loop([constant("i64", 0), constant("i1", 0)], taken, take)
            workers = f.load("i64", self.started)
            with f.when(f.icmp("ne", workers, 0)):
                f.do(f"store atomic i32 1, ptr {self.quit} release, align 4")
                f.store(constant("i64", 0), self.total)
                f.call("pool_post", "i64", constant("i64", MAX_THREADS))
                with f.loop(0, workers) as i:
                    thread = f.load("i64", f.gep(self.threads, i.index, "i64"))
                    f.call("pthread_join", "i32", thread, NULL)
                f.store(constant("i64", 0), self.started)
        then(f)
        if has_threads(self.target):
            f.do(f"store atomic i32 0, ptr {self.busy} release, align 4")
        f.ret()
