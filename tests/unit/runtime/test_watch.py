"""Log lines and stage dumps appear exactly where they were asked for."""

from tracec_runtime import knobs
from tracec_runtime.watch import dump, log


def test_log_lines(capsys):
    with knobs.override(log="flush"):
        log("flush", reason="item", ops=12)
        log("launch", kernel="k")
    assert capsys.readouterr().err == "tracec flush reason=item ops=12\n"


def test_dump_to_standard_error_and_to_a_folder(capsys, tmp_path):
    dump("ir", "main", "func")
    with knobs.override(dump="ir"):
        dump("ir", "main", "func\n")
        dump("asm", "main", "ret")
    assert capsys.readouterr().err == "===== ir: main =====\nfunc\n"
    with knobs.override(dump="all", dump_dir=tmp_path / "d"):
        dump("ir", "f", "one")
        dump("llvm", "../k 3", "two")
    files = sorted((tmp_path / "d").iterdir())
    assert [f.read_text() for f in files] == ["one", "two"]
    assert files[0].name.endswith("-f.ir") and files[1].name.endswith("-.._k_3.ll")
