import io
import pickle

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from skimage.morphology import thin as skimage_thin

from mtpsl.data.published.pascal_classes import CONTEXT_CLASSES, NORMALS_CLASSES, PART_CLASSES, VOC_NAMES, voc_colors
from mtpsl.data.published.pascal_labels import context_boundaries, context_edges, human_parts, normals_known
from mtpsl.errors import UserError
from pascal_tree import DOG, PERSON, box, save_context, save_parts, thing

SIZE = (5, 7)


def test_the_written_annotations_nest_as_public_code_reads_them(tmp_path):
    """`anno[0][0][1][0]`: objects; of each the class in [1], the mask in [2], the parts in [3]."""
    head = box(SIZE, 0, 0, 1, 2)
    save_parts(tmp_path / "a.mat", [thing(DOG, head), thing(PERSON, head, [("head", head), ("lear", head)])])
    dog, person = loadmat(tmp_path / "a.mat")["anno"][0][0][1][0]
    assert dog[1][0][0] == DOG
    assert len(dog[3]) == 0
    assert person[1][0][0] == PERSON
    assert person[2].shape == SIZE
    assert [str(part[0][0]) for part in person[3][0]] == ["head", "lear"]
    assert person[3][0][1][1].shape == SIZE


def test_parts_of_all_persons_become_six_classes_and_the_last_one_in_the_file_counts(tmp_path):
    whole = np.ones(SIZE, bool)
    things = [
        thing(DOG, whole, [("head", whole), ("tail", whole)]),
        thing(
            PERSON,
            whole,
            [
                ("torso", box(SIZE, 1, 0, 4, 3)),
                ("ruarm", box(SIZE, 1, 0, 2, 1)),
                ("rhand", box(SIZE, 2, 0, 3, 1)),
                ("luleg", box(SIZE, 4, 0, 5, 1)),
                ("lfoot", box(SIZE, 4, 1, 5, 2)),
            ],
        ),
        thing(PERSON, whole),  # its parts are not marked: background, as in public code
        thing(PERSON, whole, [("hair", box(SIZE, 0, 2, 2, 4)), ("neck", box(SIZE, 1, 3, 2, 4))]),
    ]
    save_parts(tmp_path / "a.mat", things)
    label = human_parts(tmp_path / "a.mat")
    assert label.tolist() == [
        [0, 0, 1, 1, 0, 0, 0],
        [3, 2, 1, 2, 0, 0, 0],
        [4, 2, 2, 0, 0, 0, 0],
        [2, 2, 2, 0, 0, 0, 0],
        [5, 6, 0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    "things",
    [
        [],
        [thing(DOG, np.ones(SIZE), [("head", np.ones(SIZE))])],
        [thing(PERSON, np.ones(SIZE))],
        [thing(PERSON, np.ones(SIZE), [("head", np.zeros(SIZE))])],
    ],
    ids=["no object", "no person", "a person without parts", "an empty part"],
)
def test_an_image_without_any_part_of_a_person_has_no_label(tmp_path, things):
    save_parts(tmp_path / "a.mat", things)
    assert human_parts(tmp_path / "a.mat") is None


def test_the_twenty_four_part_names_cover_the_six_classes():
    """Chen et al., "Detect What You Can", name 24 parts of a person."""
    count = {index: [*PART_CLASSES.values()].count(index) for index in range(1, 7)}
    assert count == {1: 10, 2: 2, 3: 2, 4: 4, 5: 2, 6: 4}
    mirrored = {name: "r" + name[1:] for name in PART_CLASSES if name[0] == "l"}
    assert all(PART_CLASSES[left] == PART_CLASSES[right] for left, right in mirrored.items())


def test_edges_lie_where_the_laplacian_of_the_classes_is_not_zero(tmp_path):
    labels = np.array([[1, 1, 1, 9, 9, 9]] * 6)
    labels[3, 3] = 4
    save_context(tmp_path / "a.mat", labels)
    padded = np.pad(labels, 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * labels
    expected = skimage_thin(laplacian != 0)
    assert 4 < expected.sum() < (laplacian != 0).sum()
    assert context_edges(tmp_path / "a.mat").tolist() == expected.astype(int).tolist()


def test_classes_in_even_steps_have_no_edge_between_them_as_published(tmp_path):
    """1 - 2 * 2 + 3 = 0: the Laplacian of a ramp; only its ends are edges."""
    save_context(tmp_path / "a.mat", np.array([[1, 1, 2, 3, 3]] * 3))
    assert context_edges(tmp_path / "a.mat")[1].tolist() == [0, 1, 0, 1, 0]


def test_a_map_of_one_class_has_no_edge_at_the_border(tmp_path):
    save_context(tmp_path / "a.mat", np.full((4, 4), 300))
    assert not context_edges(tmp_path / "a.mat").any()


def test_normals_are_known_at_the_classes_that_nyu_has_too(tmp_path):
    # chair, person, floor, window; sky, grass, horse, unknown, no class
    save_context(tmp_path / "a.mat", np.array([[72, 284, 158, 454], [360, 187, 207, 431], [0, 459, 427, 2]]))
    assert normals_known(tmp_path / "a.mat").tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert len({*NORMALS_CLASSES}) == 170
    assert 0 < min(NORMALS_CLASSES) <= max(NORMALS_CLASSES) <= CONTEXT_CLASSES


def test_the_classes_of_voc_have_its_colors():
    assert len(VOC_NAMES) == 21
    colors = dict(zip(VOC_NAMES, voc_colors(), strict=True))
    assert colors["background"] == [0, 0, 0]
    assert colors["aeroplane"] == [128, 0, 0]
    assert colors["bird"] == [128, 128, 0]
    assert colors["cat"] == [64, 0, 0]
    assert colors["tvmonitor"] == [0, 64, 128]


class Explosive:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


def matlab(**variables):
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


@pytest.mark.parametrize("read", [human_parts, context_edges, normals_known])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a MATLAB file at all, but long enough to have a header" * 5,
        b"\x89HDF\r\n\x1a\n" + b"\0" * 512,
        pickle.dumps(Explosive()),
        matlab(anno=np.arange(6), LabelMap="text")[:-30],
        matlab(other=np.eye(3)),
        matlab(anno=np.eye(3), LabelMap="text"),
        matlab(anno="text", LabelMap=np.zeros((2, 3, 4))),
        matlab(anno={"imname": "a"}, LabelMap=np.zeros((0, 0))),
        matlab(anno={"imname": "a", "objects": [{"class": "person"}]}, LabelMap={"a": 1}),
    ],
    ids=["empty", "text", "hdf5", "pickle", "cut off", "other", "numbers", "wrong", "no objects", "no classes"],
)
def test_a_broken_or_foreign_file_is_named(tmp_path, read, content):
    path = tmp_path / "2008_000008.mat"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"2008_000008\.mat: .*use part of the release's archive"):
        read(path)


@pytest.mark.parametrize("read", [human_parts, context_edges, normals_known])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(UserError, match=r"gone\.mat: is missing"):
        read(tmp_path / "gone.mat")


def test_an_unknown_part_and_masks_of_two_sizes_are_refused(tmp_path):
    whole = np.ones(SIZE)
    save_parts(tmp_path / "a.mat", [thing(PERSON, whole, [("wing", whole)])])
    with pytest.raises(UserError, match=r"a\.mat: unknown part 'wing' of a person: known are head, .*rfoot"):
        human_parts(tmp_path / "a.mat")
    save_parts(tmp_path / "b.mat", [thing(PERSON, whole, [("head", whole), ("torso", whole[:-1])])])
    with pytest.raises(UserError, match=r"b\.mat: the mask of 'torso' has size \(4, 7\)"):
        human_parts(tmp_path / "b.mat")


def test_boundaries_of_the_benchmark_lie_left_above_of_where_classes_meet(tmp_path):
    labels = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [1, 1, 1, 2, 2]])
    save_context(tmp_path / "a.mat", labels)
    # the corner (1, 2) sees the other class only to its lower right; the last row and column look only along themselves
    drawn = [[0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    expected = skimage_thin(np.array(drawn, bool)).astype(int).tolist()
    assert context_boundaries(tmp_path / "a.mat").tolist() == expected
    assert context_edges(tmp_path / "a.mat").tolist() != expected
