"""Saving and loading: everything comes back, and nothing that is not ours gets in."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from marquardt import QR, LMRegressor, Multiplicative
from marquardt.atomic_file import write_atomically
from marquardt.diagnosis import Finding, Severity
from marquardt.files import archive
from marquardt.files.archive import ModelFileError, read_archive, write_archive
from marquardt.files.persistence import load, save
from marquardt.initialization import Glorot
from marquardt.method import Geodesic
from marquardt.reports.html_report import html_report
from marquardt.reports.text_report import text_report
from marquardt.tables.model import TableModel
from small_model import small_model, small_table

pytestmark = pytest.mark.filterwarnings("ignore:Levenberg-Marquardt has not converged")


@pytest.mark.parametrize(
    "model",
    [small_model(), small_model(held_out=False), small_model(n_targets=2), small_model(validation=True)],
    ids=["plain", "all rows", "two targets", "validation"],
)
def test_a_table_model_comes_back_whole(tmp_path, model):
    path = tmp_path / "a.marquardt"
    save(model, path)
    back = load(path)
    assert isinstance(back, TableModel)
    assert back.encoder == model.encoder
    assert back.network.network == model.network.network
    np.testing.assert_array_equal(back.predict(small_table()), model.predict(small_table()))
    assert text_report(back.record) == text_report(model.record)
    for name, values in model.record.history.to_dict().items():
        np.testing.assert_equal(back.record.history.to_dict()[name], values)


def test_findings_come_back_and_older_files_have_none(tmp_path):
    path, model = tmp_path / "a.marquardt", small_model()
    evidence = {"share": 0.5, "limit": float("inf")}
    finding = Finding("dead units", Severity.NOTE, evidence, "2 of 4 units are dead.", "Start again.")
    save(replace(model, record=replace(model.record, findings=(finding,))), path)
    assert load(path).record.findings == (finding,)
    header, arrays = read_archive(path)
    header["record"]["findings"][0]["severity"] = "dire"
    write_archive(path, header, arrays)
    with pytest.raises(ModelFileError, match="'dire' is not a valid Severity"):
        load(path)
    del header["record"]["findings"]
    write_archive(path, header, arrays)
    assert load(path).record.findings == ()


def test_the_html_report_of_a_file_is_that_of_the_fit(tmp_path):
    model = small_model()
    save(model, tmp_path / "a.marquardt")
    assert html_report(load(tmp_path / "a.marquardt").record) == html_report(model.record)


def test_a_file_holds_no_pickle_and_no_compression(tmp_path):
    path = tmp_path / "a.marquardt"
    save(small_model(), path)
    with zipfile.ZipFile(path) as file:
        header = json.loads(file.read("header.json"))
        assert header["format"] == "marquardt-model" and header["format_version"] == 1
        assert header["layers"] == [["Input", 5], ["Tanh", 4], ["Linear", 1]]
        for info in file.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            if info.filename.endswith(".npy"):
                np.load(io.BytesIO(file.read(info)), allow_pickle=False)


# -- hostile and broken files ----------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.marquardt"
    save(small_model(), path)
    return path


def rewritten(path, change_header=None, change_members=None, compression=zipfile.ZIP_STORED):
    """The file again, with its header or its members changed."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    if change_header is not None:
        header = json.loads(members["header.json"])
        change_header(header)
        members["header.json"] = json.dumps(header).encode()
    if change_members is not None:
        change_members(members)
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def refused(path, message):
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert message in str(caught.value), str(caught.value)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def claim(shape, data=b"", dtype="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def test_missing_files_and_folders(tmp_path):
    refused(tmp_path / "no.marquardt", "there is no file")
    refused(tmp_path, "is a folder: name the .marquardt file in it")


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", pickle.dumps({"a": 1}), b"PK\x03\x04"])
def test_files_of_other_kinds(tmp_path, content):
    path = tmp_path / "a.marquardt"
    path.write_bytes(content)
    refused(path, "is not a model file that marquardt can read")


def test_every_truncation_is_refused(saved, tmp_path):
    whole = saved.read_bytes()
    path = tmp_path / "cut.marquardt"
    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:length])
        refused(path, "Nothing in it was run")


def test_flipped_bytes_never_escape_the_clear_error(saved, tmp_path):
    whole = bytearray(saved.read_bytes())
    path = tmp_path / "flipped.marquardt"
    rng = np.random.default_rng(0)
    for position in rng.choice(len(whole), 150, replace=False):
        damaged = whole.copy()
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            model = load(path)
        except ModelFileError:
            continue
        # What lies outside the checked bytes (a time stamp, say) may change without harm.
        assert isinstance(model, TableModel)
        np.testing.assert_array_equal(model.network.w, small_model().network.w)


def test_a_newer_version_asks_for_an_upgrade(saved):
    rewritten(saved, lambda header: header.update(format_version=2, written_by="9.0"))
    refused(saved, "was written by a newer marquardt (9.0): its file format is 2, this one reads up to 1")
    refused(saved, "Run `python -m pip install --upgrade marquardt`.")


@pytest.mark.parametrize("version", [0, -1, "1", None, True, 1.5])
def test_strange_versions(saved, version):
    refused(rewritten(saved, lambda header: header.update(format_version=version)), "its format version is")


@pytest.mark.parametrize(
    "name",
    ["../../evil.py", "/etc/passwd", "arrays/../w.npy", "model.pkl", "arrays/W.npy", "arrays/sub/w.npy"],
)
def test_foreign_members_and_path_traversal(saved, name):
    rewritten(saved, change_members=lambda members: members.update({name: b"x"}))
    refused(saved, "it holds a foreign member")


def test_a_zip_bomb_is_not_unfolded(saved):
    rewritten(
        saved,
        change_members=lambda members: members.update({"arrays/w.npy": bytes(50_000_000)}),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert saved.stat().st_size < 1_000_000
    refused(saved, "is compressed")


def test_overlapping_and_repeated_members(saved, monkeypatch):
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(saved, "a") as file:
        file.writestr("header.json", b"{}")
    refused(saved, "a member occurs twice")


def test_too_many_members(saved, monkeypatch):
    monkeypatch.setattr(archive, "_MEMBER_LIMIT", 3)
    refused(saved, "members")


def test_members_that_overlap(saved, monkeypatch):
    real = os.fstat

    def small(handle):
        return type("Stat", (), {"st_size": min(real(handle).st_size, 100)})

    monkeypatch.setattr(archive.os, "fstat", small)
    refused(saved, "its members overlap")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "has dtype object"),
        (npy(np.array(["x" * 5])), "which is not plain numbers"),
        (npy(np.zeros(3, dtype=[("a", "f8")])), "which is not plain numbers"),
        (npy(np.zeros(3, dtype=">f8")), "which is not plain numbers"),
        (claim((10**15,)), "claims shape (1000000000000000,) but holds 0 bytes"),
        (claim((10**30, 10**30)), "but holds 0 bytes"),
        (claim((-1,), bytes(8)), "has shape (-1,)"),
        (claim((1, 1, 1, 1, 1), bytes(8)), "has shape (1, 1, 1, 1, 1)"),
        (b"\x93NUMPY\x02\x00" + bytes(20), "has no valid header"),
        (b"not an array", "has no valid header"),
        (b"\x93NUMPY\x01\x00\x10\x00__import__('os')", "has no valid header"),
        (npy(np.zeros(3)), "w is float64 of shape (3,)"),
        (npy(np.full(29, np.nan)), "w holds NaN or infinite values"),
    ],
)
def test_hostile_arrays(saved, data, message):
    rewritten(saved, change_members=lambda members: members.update({"arrays/w.npy": data}))
    refused(saved, message)


@pytest.mark.parametrize(
    "data", [b"[]", b'{"format": "other"}', b"\xff\xfe", b"{", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_headers_that_are_none(saved, data):
    rewritten(saved, change_members=lambda members: members.update({"header.json": data}))
    refused(saved, "its header")


def test_a_header_too_large_or_missing(saved, monkeypatch):
    monkeypatch.setattr(archive, "_HEADER_LIMIT", 10)
    refused(saved, "its header is too large")
    monkeypatch.undo()
    rewritten(saved, change_members=lambda members: members.pop("header.json"))
    refused(saved, "it has no header.json")


def drop_effect(header):
    header["record"]["effects"][0]["changes"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(kind="os.system"), "holds a model of unknown kind 'os.system'"),
        (lambda h: h.update(layers=[["Input", 5], ["eval", 4], ["Linear", 1]]), "is a damaged model file"),
        (
            lambda h: h.update(layers=[["Input", 5], ["Tanh", 10**12], ["Linear", 1]]),
            "is a damaged model file",
        ),
        (lambda h: h.update(layers=[["Input", 5]]), "is a damaged model file"),
        (lambda h: h.update(layers=7), "is a damaged model file"),
        (lambda h: h.pop("encoder"), "is a damaged model file"),
        (lambda h: h["encoder"]["columns"].pop(0), "the encoder and the network have different inputs"),
        (lambda h: h["record"].update(targets=["a", "b"]), "is a damaged model file"),
        (lambda h: h["record"].update(status="__class__"), "unknown status '__class__'"),
        (lambda h: h["record"].update(message=["x"]), "is not text"),
        (lambda h: h["record"].update(notes="x"), "is not a list"),
        (lambda h: h["record"].update(seconds="x"), "is a damaged model file"),
        (drop_effect, "an effect has not one change for each target"),
    ],
)
def test_hostile_headers(saved, change, message):
    refused(rewritten(saved, change), message)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("history.cost", npy(np.zeros((2, 2))), "history.cost has shape (2, 2)"),
        ("history.cost", npy(np.zeros(2)), "the columns of the history have different lengths"),
        ("history.rejected", npy(np.full(16, np.nan)), "is a damaged model file"),
        ("train.y", npy(np.zeros((3, 1))), "the train outcomes have shapes (3, 1)"),
        ("x_scale", npy(np.zeros(5)), "a scale is 0"),
    ],
)
def test_hostile_records(saved, name, data, message):
    rewritten(saved, change_members=lambda members: members.update({f"arrays/{name}.npy": data}))
    refused(saved, message)


# -- writing ---------------------------------------------------------------------------------------


def test_a_full_disk_keeps_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError) as caught:
        save(small_model(n_targets=2), saved)
    assert "No space left on device; the old file is untouched. Free some space or choose" in str(
        caught.value
    )
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device():
    with open("/dev/full", "wb") as file, pytest.raises(OSError, match="No space left"):
        file.write(b"x" * 100_000)
        file.flush()


def test_an_interrupt_while_saving_keeps_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(small_model(), saved)
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(ModelFileError, match=r"Create the folder .*no.* first, or choose another\."):
        save(small_model(), tmp_path / "no" / "a.marquardt")
    with pytest.raises(ModelFileError, match="Name a file in this folder"):
        save(small_model(), tmp_path)


def test_permissions_and_links_are_kept(tmp_path):
    target, link = tmp_path / "a.bin", tmp_path / "b.bin"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        (
            {},
            {"w": np.array([object()])},
            "array 'w' has dtype object: only numbers and booleans can be saved",
        ),
        ({}, {"../w": np.zeros(1)}, "array name '../w' must be of a-z, 0-9"),
        ({"a": object()}, {}, "the model's header is not plain JSON data"),
    ],
)
def test_what_cannot_be_saved(tmp_path, header, arrays, message):
    with pytest.raises(ModelFileError, match=message):
        write_archive(tmp_path / "a.marquardt", header, arrays)
    assert not os.listdir(tmp_path)


def test_dtypes_and_orders_come_back(tmp_path):
    path = tmp_path / "a.marquardt"
    arrays = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "i": np.arange(3),
        "b": np.array([True, False]),
    }
    write_archive(path, {}, arrays)
    _, back = read_archive(path)
    for name, values in arrays.items():
        np.testing.assert_array_equal(back[name], values)
        assert back[name].dtype == values.dtype and back[name].flags.writeable


# -- estimators ------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
REGRESSORS = {
    "defaults": (LMRegressor(random_state=0), Y[:, 0]),
    "two targets": (LMRegressor((4, 3), "logistic", random_state=np.random.RandomState(0)), Y),
    "column target": (LMRegressor(4, early_stopping=True, random_state=0), Y[:, :1]),
    "starts": (LMRegressor([4], n_starts=3, random_state=0, scale_target=False), Y[:, 0]),
    "objects": (
        LMRegressor(4, damping=Multiplicative(), solver=QR(), init=Glorot(), acceleration=Geodesic(0.75)),
        Y[:, 0],
    ),
    "array start": (LMRegressor(2, init=np.linspace(-1, 1, 11), max_time=np.float64(9.0), tol=0.1), Y[:, 0]),
}


@pytest.mark.parametrize(("regressor", "y"), REGRESSORS.values(), ids=REGRESSORS)
def test_a_regressor_comes_back_whole(tmp_path, regressor, y):
    regressor.set_params(max_iter=10).fit(X, y)
    save(regressor, tmp_path / "r.marquardt")
    back = load(tmp_path / "r.marquardt")
    assert isinstance(back, LMRegressor)
    np.testing.assert_array_equal(back.predict(X), regressor.predict(X))
    assert vars(back).keys() == vars(regressor).keys()
    for name in (
        "n_iter_",
        "loss_",
        "loss_curve_",
        "validation_scores_",
        "status_",
        "message_",
        "n_features_in_",
    ):
        assert getattr(back, name) == getattr(regressor, name), name
    for mine, theirs in zip(back.coefs_, regressor.coefs_, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert repr(back.starts_) == repr(regressor.starts_)
    assert repr(back.result_) == repr(regressor.result_)
    back.set_params(warm_start=True).fit(X, y)  # it can be trained on


def test_parameters_of_a_regressor_come_back(tmp_path):
    regressor = REGRESSORS["objects"][0].fit(X, Y[:, 0])
    save(regressor, tmp_path / "r.marquardt")
    assert repr(load(tmp_path / "r.marquardt")) == repr(regressor)


def test_feature_names_of_a_regressor_come_back(tmp_path):
    table = small_table()[["time_hours", "answer"]]
    regressor = LMRegressor(2, max_iter=3).fit(table[["time_hours"]], table["answer"])
    save(regressor, tmp_path / "r.marquardt")
    assert load(tmp_path / "r.marquardt").feature_names_in_.tolist() == ["time_hours"]


def test_regressors_that_cannot_be_saved(tmp_path):
    with pytest.raises(ModelFileError, match="LMRegressor is not fitted: call fit before saving it"):
        save(LMRegressor(), tmp_path / "r.marquardt")

    class MyDamping(Multiplicative):
        pass

    regressor = LMRegressor(2, max_iter=2, damping=MyDamping()).fit(X, Y[:, 0])
    with pytest.raises(
        ModelFileError, match=r"parameter damping=.* is of a kind that a model file cannot hold: set it"
    ):
        save(regressor, tmp_path / "r.marquardt")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["params"].update(damping={"part": "os.system", "fields": {"command": "true"}}),
        lambda h: h["params"].update(evil=1),
        lambda h: h["result"].update(status="EVIL"),
        lambda h: h["starts"][0].update(evil=1),
        lambda h: h.update(feature_names=["a"]),
        lambda h: h.update(params=[]),
    ],
)
def test_hostile_regressors(tmp_path, change):
    path = tmp_path / "r.marquardt"
    save(LMRegressor(2, max_iter=2, random_state=0).fit(X, Y[:, 0]), path)
    refused(rewritten(path, change), "is a damaged model file")


def test_plain_weights_have_their_own_reader(tmp_path):
    path = tmp_path / "w.marquardt"
    write_archive(path, {"kind": "weights"}, {})
    refused(path, "holds plain weights: read it by `marquardt.trainer.weights_file.load_weights`")


def test_numbers_that_json_has_no_word_for_go_there_and_back(tmp_path):
    path = tmp_path / "a.marquardt"
    write_archive(path, {"scores": {"r2": float("nan")}, "sd": [float("inf"), 1.5]}, {})
    header, _ = read_archive(path)
    assert np.isnan(float(header["scores"]["r2"]))
    assert [float(value) for value in header["sd"]] == [np.inf, 1.5]
