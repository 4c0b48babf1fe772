from __future__ import annotations

import json

import numpy as np
import pytest

from napari_fossiledit import metrics, pipeline
from napari_fossiledit.errors import InputError
from napari_fossiledit.instances import Instances, LabelledSlice
from napari_fossiledit.io.save import _plain
from napari_fossiledit.perturb import Colour, Inpaint, Median, Noise, Perturbation, Quilt, Tile
from napari_fossiledit.pipeline.probe import versions_of
from napari_fossiledit.pipeline.probe_figure import probe_figure, texture_colours
from napari_fossiledit.pipeline.probe_instances import instance_table


def test_a_model_that_takes_clots_is_found_out(pale, slices) -> None:
    result = pipeline.probe(pale, slices)
    original, others, fossils = (row.scores for row in result.rows)
    assert (original.true_detections, original.false_detections) == (3, 3)
    assert (others.true_detections, others.false_detections) == (3, 0)
    assert (fossils.true_detections, fossils.false_detections) == (0, 3)
    assert original.confuser_share == fossils.confuser_share == 1.0
    assert others.confuser_share == 0.0
    assert result.diagnosis.startswith(
        "Painted over, the fossils are gone, yet 100 % of the confusers' pixels are still claimed"
    )
    assert "the model confuses confusers with fossils." in result.findings[0]
    assert "precision hardly changes (1.00 and 1.00)" in result.findings[1]
    assert [row.found for row in result.rows] == [3, 3, 0]


def test_what_is_no_confuser_is_told_apart(pale, slices) -> None:
    nothing = np.zeros((80, 80), np.int32)
    nothing[0, 0] = 1
    elsewhere = [LabelledSlice(piece.image, piece.labels, nothing) for piece in slices]
    said = pipeline.probe(pale, elsewhere).findings[0]
    assert said == (
        "Painted over, the fossils are gone, yet 3 detections remain where no fossil is left, "
        "with none of the confusers' pixels: the model confuses something else with fossils."
    )
    unknown = [LabelledSlice(piece.image, piece.labels) for piece in slices]
    said = pipeline.probe(pale, unknown).findings[0]
    assert "yet 3 detections remain where no fossil is left: the model confuses" in said
    clean = [LabelledSlice(piece.image.copy(), piece.labels, nothing) for piece in slices]
    for piece in clean:
        piece.image[piece.labels == 0] = (130, 75, 60)
    said = pipeline.probe(pale, clean).findings[0]
    assert said.startswith(
        "Painted over, the fossils are gone, and none of the confusers' pixels are claimed: "
    )


def test_fossils_still_seen_under_the_paint_are_said(pale, slices) -> None:
    class Stubborn:
        """Remembers where the fossils lie."""

        limits = pale.limits

        def predict(self, image, **_) -> Instances:
            return Instances.from_labels(slices[0].labels)

    said = pipeline.probe(Stubborn(), slices[:1]).findings[0]
    assert said.startswith("Painted over, 2 of 2 fossils are still detected: to the model their")
    assert ". But none of the confusers' pixels are claimed" in said


def test_a_gain_from_painting_is_said(pale, slices) -> None:
    # Here the clot grows onto the fossil, so painting it over makes the mask right.
    piece = slices[0]
    image = piece.image.copy()
    image[20:24, 28:50] = (200, 190, 180)
    several = [LabelledSlice(image, piece.labels, piece.confusers, group=g) for g in "abcdef"]
    result = pipeline.probe(pale, several)
    assert result.rows[1].scores.matched_mean.precision == 1.0
    assert "precision rises" in result.diagnosis
    assert "95 % interval +0." in result.diagnosis
    alone = pipeline.probe(pale, several[:1])
    assert "which may be chance on so few fossils" in alone.diagnosis


def test_rows_hold_what_the_model_was_shown(pale, slices) -> None:
    result = pipeline.probe(pale, slices, fill=Colour((1, 2, 3)))
    shown = result.rows[1].images[0]
    assert (shown[slices[0].labels == 0] == (1, 2, 3)).all()
    assert len(pale.seen) == 6
    assert set(result.to_dict()["versions"]) == set(pipeline.VERSIONS)


def test_slices_without_a_fossil_are_left_out_or_refused(pale, slices) -> None:
    blank = LabelledSlice(slices[0].image, np.zeros((80, 80), np.int32))
    assert len(pipeline.probe(pale, [blank, slices[1]]).rows[0].images) == 1
    with pytest.raises(InputError, match="None of the labelled slices has a fossil"):
        pipeline.probe(pale, [blank])
    with pytest.raises(InputError, match="There is no labelled slice"):
        pipeline.probe(pale, [])


def test_closing_the_probe_leaves_the_slices_alone(pale, slices) -> None:
    before = [piece.image.copy() for piece in slices]
    task = pipeline.probe_task(pale, slices)
    next(task)
    task.close()
    for piece, image in zip(slices, before, strict=True):
        np.testing.assert_array_equal(piece.image, image)


class Blind:
    """What the pale segmenter would find, on slices that ``sees`` lets it look at."""

    def __init__(self, pale, sees=lambda image: False) -> None:
        self.pale, self.sees, self.limits = pale, sees, pale.limits

    def predict(self, image, **options) -> Instances:
        return self.pale.predict(image if self.sees(image) else np.zeros_like(image), **options)


def test_a_model_that_finds_nothing_is_told_so(pale, slices) -> None:
    bare = [LabelledSlice(piece.image, piece.labels) for piece in slices]
    for given in (slices, bare):
        said = pipeline.probe(Blind(pale), given).diagnosis
        assert said.startswith("The model finds no fossil on these slices, neither as they are")
        assert "classes count as the fossil" in said
        assert "SCORE_THRESH_TEST" in said
        assert "nan" not in said
        assert "confuser" not in said


def test_fossils_found_only_among_paint_or_only_without(pale, slices) -> None:
    fill = Colour((1, 2, 3))

    def painted(image) -> bool:
        return bool((image == fill.rgb).all(axis=-1).any())

    only = pipeline.probe(Blind(pale, painted), slices, fill=fill).diagnosis
    assert only.startswith("The model finds no fossil on these slices as they are, but 3 of 3")
    none = pipeline.probe(Blind(pale, lambda image: not painted(image)), slices, fill=fill)
    assert "no fossil any more (3 of 3 before): the paint itself is foreign" in none.diagnosis
    assert "nan" not in only + none.diagnosis


def grown(slices):
    """A clot grows onto the first fossil: half of that prediction is no fossil."""
    image = slices[0].image.copy()
    image[20:24, 28:60] = (200, 190, 180)
    return [LabelledSlice(image, slices[0].labels, slices[0].confusers, name="a"), slices[1]]


def test_every_instance_is_in_the_table_the_worst_first(pale, slices) -> None:
    result = pipeline.probe(pale, grown(slices), textures={1: "porous"})
    assert [(one.slice, one.instance) for one in result.instances] == [("a", 1), ("a", 2), ("b", 1)]
    assert [one.texture for one in result.instances] == ["porous", None, "porous"]
    worst = result.worst(1)[0]
    assert (worst.slice, worst.instance) == ("a", 1)
    assert result.worst(1, by="change") == [worst]
    assert worst.centre == pytest.approx((20, 20))
    assert worst.pixels == np.count_nonzero(slices[0].labels == 1)
    assert worst.score("others painted") == 1.0
    assert worst.change("others painted", "precision") == 1 - worst.score("original", "precision")
    assert not worst.scores["fossils painted"].detected
    with pytest.raises(InputError, match='not by "beauty"'):
        result.worst(by="beauty")


def test_instances_agree_with_the_scores(pale, slices) -> None:
    result = pipeline.probe(pale, grown(slices))
    for row in result.rows:
        for score in ("precision", "recall", "iou"):
            own = [one.score(row.version, score) for one in result.instances]
            np.testing.assert_array_equal(own, getattr(row.scores, score))


def test_intervals_are_those_of_the_metrics(pale, slices) -> None:
    result = pipeline.probe(pale, grown(slices), resamples=300, seed=5)
    original, others, _ = result.rows
    how = {"resamples": 300, "seed": 5}
    plain = metrics.difference(original.scores, others.scores, **how)["matched_mean.precision"]
    assert others.change["matched_mean.precision"] == plain
    assert (
        original.intervals["all_mean.iou"]
        == metrics.intervals(original.scores, **how)["all_mean.iou"]
    )
    assert not original.change


def test_what_is_painted_follows_the_recipe(pale, slices) -> None:
    def names(**settings) -> list[str]:
        return list(versions_of(Perturbation(**settings)))

    three = ["original", "others painted", "fossils painted"]
    assert names() == names(fill=Quilt()) == names(target="fossils", fill=Noise()) == three
    assert names(target="fossils", fill=Tile((0, 0, 9, 9))) == ["original", "fossils painted"]
    assert names(target="fossils", fill=Inpaint()) == ["original", "fossils painted"]
    both = Perturbation(Median(), "both", texture=Tile((0, 0, 9, 9)), feather=1.0)
    assert list(versions_of(both)) == ["original", "others painted", "both painted"]
    how = Perturbation(Colour((1, 2, 3)), fraction=0.4, seed=3, by="pixels", feather=0.0)
    result = pipeline.probe(pale, slices, perturbation=how)
    piece, row = slices[0], result.row("others painted")
    np.testing.assert_array_equal(row.images[0], how.apply(piece.image, piece.labels).image)
    assert result.perturbation == how
    with pytest.raises(InputError, match="both a fill and a perturbation"):
        pipeline.probe(pale, slices, fill=Median(), perturbation=how)


def test_fossils_in_another_texture_are_told_by_shape_or_texture(pale, slices) -> None:
    mud = Perturbation(Median(), "both", texture=Tile((0, 70, 9, 79)))
    result = pipeline.probe(pale, slices, perturbation=mud)
    assert result.painted == "both painted"
    assert "0 of 3 fossils are detected, against 3 in their own" in result.diagnosis
    assert "goes by texture more than by shape" in result.diagnosis
    own = Perturbation(Median(), "both", texture=Tile((16, 16, 24, 24)))
    assert "by shape more than" in pipeline.probe(pale, slices[:1], perturbation=own).diagnosis


def test_slow_fills_show_their_progress(pale, slices) -> None:
    task = pipeline.probe_task(pale, slices[:1], perturbation=Perturbation(Quilt(patch=8)))
    steps = []
    while True:
        try:
            steps.append(next(task))
        except StopIteration:
            break
    painting = [step for step in steps if step.message.startswith("a: others painted, ")]
    assert len(painting) > 2
    shares = [step.done / step.total for step in steps if step.total == 300]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_what_painting_noticed_is_kept(pale, slices) -> None:
    how = Perturbation(Median((12, 12, 28, 28)))
    result = pipeline.probe(pale, slices[:1], perturbation=how)
    assert "a: others painted: " in result.notes[0]
    assert "lies in fossils" in result.notes[0]


def test_a_slice_that_cannot_be_painted_is_named(pale, slices) -> None:
    small = Perturbation(Tile((60, 60, 90, 90)))
    with pytest.raises(InputError, match=r"^a: .*"):
        pipeline.probe(pale, slices, perturbation=small)


def test_textures_may_differ_from_slice_to_slice(pale, slices) -> None:
    result = pipeline.probe(pale, slices, textures=[{1: "porous", 2: "mud-filled"}, None])
    assert [one.texture for one in result.instances] == ["porous", "mud-filled", None]
    assert [one.texture for one in result.textures] == ["mud-filled", "porous"]
    assert [one.total for one in result.textures] == [1, 1]
    assert result.textures[0].found == {
        "original": 1,
        "others painted": 1,
        "fossils painted": 0,
    }
    with pytest.raises(InputError, match="2 labelled slices, but textures for 1"):
        pipeline.probe(pale, slices, textures=[{1: "porous"}])


def rows_of(discs: int):
    """Many slices, each with a porous fossil as labelled and a mud-filled one half as large."""
    made = []
    for i in range(discs):
        image = np.full((60, 60, 3), (130, 75, 60), np.uint8)
        labels = np.zeros((60, 60), np.int32)
        labels[5:25, 5:25], labels[35:55, 35:55] = 2 * i + 1, 2 * i + 2
        image[5:25, 5:25] = image[35 : 45 + i % 3, 35:55] = (200, 190, 180)
        made.append(LabelledSlice(image, labels, name=f"s{i}", group="g"))
    names = {k: "porous" if k % 2 else "mud-filled" for k in range(1, 2 * discs + 1)}
    return made, names


def test_a_texture_that_fares_worse_is_named_with_its_interval(pale) -> None:
    made, names = rows_of(6)
    result = pipeline.probe(pale, made, textures=names)
    mud, porous = result.textures
    assert mud.scores["original"].all_mean.iou == pytest.approx(0.55)
    contrast = mud.contrast["all_mean.iou"]
    assert contrast.value == pytest.approx(-0.45)
    assert contrast.clear
    assert porous.contrast["all_mean.iou"].value == pytest.approx(0.45)
    assert (
        "Mud-filled fossils are outlined worse than porous ones (IoU 0.55 against 1.00; "
        "difference -0.45, 95 % interval -0.4"
    ) in result.diagnosis


def test_a_texture_that_the_paint_hides_is_named(pale) -> None:
    class Shy:
        """Loses what lies low in the slice once all else has one colour."""

        limits = pale.limits

        def predict(self, image, **options) -> Instances:
            image = image.copy()
            if (image[0, 0] == (1, 2, 3)).all():
                image[30:, :, :] = (1, 2, 3)
            return pale.predict(image, **options)

    made, names = rows_of(6)
    result = pipeline.probe(Shy(), made, textures=names, fill=Colour((1, 2, 3)))
    assert "mud-filled fossils fare worse than porous ones (IoU from 0.55 to 0.00" in (
        result.diagnosis
    )
    assert "among this paint the model loses them" in result.diagnosis
    assert "recall falls" in result.diagnosis


def test_the_json_is_enough_to_draw_it_again(pale, slices) -> None:
    result = pipeline.probe(pale, slices, textures={1: "porous"})
    data = json.loads(json.dumps(_plain(result.to_dict()), allow_nan=False))
    assert set(data["versions"]["others painted"]["change"]) >= {"matched_mean.precision"}
    assert Perturbation.from_dict(data["perturbation"]) == result.perturbation
    assert data["textures"]["porous"]["versions"]["original"]["total"] == 2
    assert len(data["instances"]) == 3
    figure = probe_figure(data, score="precision")
    assert [axis.get_ylabel() for axis in figure.axes] == [
        "precision, others painted",
        "precision, fossils painted",
    ]
    drawn = sum(len(points.get_offsets()) for points in figure.axes[0].collections)
    assert drawn == 3
    with pytest.raises(InputError, match='not "beauty"'):
        probe_figure(data, score="beauty")
    with pytest.raises(InputError, match="no probe's result"):
        probe_figure({})
    assert list(texture_colours([None, "b", "a"])) == ["a", "b", None]


def test_the_instances_table_has_a_column_for_every_score_of_every_version(pale, slices) -> None:
    result = pipeline.probe(pale, slices, keep_images=False)
    assert result.rows[1].images == []
    head, rows = instance_table(result.worst(), pipeline.VERSIONS)
    assert head[:6] == ["slice", "id", "texture", "row", "column", "pixels"]
    assert {"iou_original", "iou_others_painted", "iou_change_fossils_painted"} <= set(head)
    assert {len(row) for row in rows} == {len(head)}
    assert "iou_change_original" not in head


def test_the_same_seed_gives_the_same_tables(pale, slices) -> None:
    how = Perturbation(Noise(), fraction=0.5, seed=2)
    one, other = (pipeline.probe(pale, slices, perturbation=how, seed=1) for _ in range(2))
    assert json.dumps(_plain(one.to_dict())) == json.dumps(_plain(other.to_dict()))


def test_a_cancelled_probe_closes_what_it_was_painting(pale, slices) -> None:
    task = pipeline.probe_task(pale, slices, perturbation=Perturbation(Quilt(patch=8)))
    while "painted, " not in next(task).message:
        pass
    task.close()
    assert len(pale.seen) == 1
