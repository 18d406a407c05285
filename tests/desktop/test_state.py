import pytest

from desktop.state import Now, State
from engine.messages import (
    CancelledJob,
    Done,
    Entries,
    Entry,
    Failed,
    Picture,
    Pictures,
    Preparing,
    Progress,
    Queued,
    Started,
)
from engine.settings import GenerateSettings, Preferences


@pytest.fixture
def told(state: State) -> list[str]:
    names: list[str] = []
    state.changed.connect(names.append)
    return names


def test_no_name_means_two_things() -> None:
    names = [*Now.__struct_fields__, *GenerateSettings.__struct_fields__, *Preferences.__struct_fields__]
    assert len(names) == len(set(names))


def test_setting_one_thing_tells_of_it(state: State, told: list[str]) -> None:
    before = state.now
    state.set("steps", 30)
    assert state.now.settings.steps == 30
    assert before.settings.steps == 20
    assert told == ["settings", "steps"]


def test_setting_the_same_tells_nothing(state: State, told: list[str]) -> None:
    state.set("steps", state.now.settings.steps)
    assert told == []


def test_settings_are_replaced_whole(state: State, told: list[str]) -> None:
    state.set("settings", GenerateSettings(prompt="other", seed=5))
    assert told == ["settings", "prompt", "seed"]


def test_another_familys_usual_values_come_with_its_model(state: State) -> None:
    models = (Entry(path=f"/{name}", name=name, sort="checkpoint", family=name) for name in ("sd1", "flux"))
    state.take(Entries(entries=tuple(models)))
    state.set("settings", GenerateSettings(model="sd1", steps=33))
    state.set("model", "flux")
    drawn = state.now.settings
    assert (drawn.guidance_scale, drawn.scheduler, drawn.steps) == (3.5, "Euler", 33)
    state.set("model", "sd1")
    plain = GenerateSettings()
    assert (state.now.settings.guidance_scale, state.now.settings.scheduler) == (plain.guidance_scale, plain.scheduler)
    assert state.now.settings.steps == 33


def test_jobs_come_in_the_order_they_are_made(state: State) -> None:
    for job in "ab":
        state.asked(job)
        state.take(Queued(job=job, place=0))
    state.take(Started(job="b", backend="torch", precision="fp32"))
    assert state.now.jobs == ("b", "a")
    state.take(Done(job="b"))
    assert state.now.jobs == ("a",)


def test_a_job_that_fails_while_it_waits_leaves_the_other_alone(state: State) -> None:
    for job in "ab":
        state.asked(job)
    state.take(Started(job="a", backend="torch", precision="fp32"))
    state.take(Progress(job="a", step=1, steps=2, seconds_left=1))
    state.take(Failed(job="b", cause="No.", advice="Ask again."))
    assert state.now.jobs == ("a",)
    assert isinstance(state.now.doing, Progress)


def test_between_two_pictures_of_a_job_the_progress_stands_still(state: State) -> None:
    state.asked("a")
    state.take(Preparing(job="a", what="Loading the model"))
    state.take(Started(job="a", backend="torch", precision="fp32"))
    assert state.now.doing is None
    state.take(Progress(job="a", step=2, steps=2, seconds_left=0, preview="p.png", pictures=2))
    made = Picture(job="a", path="1.png", settings=GenerateSettings(), backend="torch", precision="fp32", seconds=1)
    state.take(made)
    assert state.now.doing == Progress(job="a", step=2, steps=2, seconds_left=0, pictures=2)
    assert state.now.shown == "1.png"


def test_a_list_of_pictures_does_not_take_the_stage_from_one(state: State) -> None:
    state.pick("mine.png")
    state.take(Pictures(paths=("new.png", "mine.png")))
    assert state.now.shown == "mine.png"


def test_ending_is_over_when_the_job_is(state: State) -> None:
    state.asked("a")
    state.set("ending", "a")
    state.take(CancelledJob(job="a"))
    assert state.now.ending == ""


def test_notes_stay_until_the_next_job(state: State) -> None:
    state.asked("a")
    state.take(Started(job="a", backend="torch", precision="fp32", notes=("in tiles",)))
    made = Picture(
        job="a", path="a.png", settings=GenerateSettings(), backend="torch", precision="fp32", seconds=1,
        notes=("in tiles", "of one colour"),
    )  # fmt: skip
    state.take(made)
    state.take(Done(job="a"))
    assert state.now.notes == ("in tiles", "of one colour")
    state.asked("b")
    assert state.now.notes == ()
