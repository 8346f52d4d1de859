"""The probe: what it says of a sound account, of a broken one, and that it takes away what it makes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from pydantic import SecretStr

from core.conversion import capture_request
from core.errors import InputError, PlatformError, RefusedError
from core.platforms.base import Parameter
from core.platforms.choice import settings_warnings
from core.platforms.code_ocean.api import CodeOceanApi
from core.platforms.code_ocean.files import Clients
from core.platforms.code_ocean.probe import CUSTOM_METADATA, panel_findings, probe_code_ocean
from core.platforms.code_ocean.probe_measure import TAG, Measure, Measurement, Round, Sighting, spread, windows
from core.platforms.code_ocean.probe_storage import probe_storage
from core.platforms.findings import Verdict
from core.settings import Settings
from tests.code_ocean_place import SCRATCH_BUCKET, SCRATCH_PREFIX, code_ocean, s3_server
from tests.fake_code_ocean_state import CONVERTER, CONVERTER_PANEL, MONITOR, FakeCapsule, PanelParameter, Timing
from tests.job_records import a_plan

TINY = "aaaaaaaa-0000-4000-8000-000000000001"
TOKENS = ("jaaaaaaaaaaaaaaa", "jbbbbbbbbbbbbbbb")


@pytest.fixture
def fake():
    with code_ocean(sample=False) as running:
        yield running


def settings_of(fake, **more) -> Settings:
    return Settings(code_ocean_domain=fake.url, code_ocean_token=SecretStr(fake.token), asset_buckets="", **more)


def api_of(settings: Settings, min_version: str) -> CodeOceanApi:
    return CodeOceanApi(
        settings.code_ocean_domain, settings.code_ocean_token, min_version=min_version, sleep=lambda seconds: None
    )


def looked(fake, **more):
    """The findings about an account, by what they are about; of several the worst."""
    settings = settings_of(fake, **more)
    findings = list(
        probe_code_ocean(
            api_of(settings, settings.code_ocean_min_version),
            settings,
            with_version=lambda version: api_of(settings, version),
        )
    )
    assert all(finding.cure for finding in findings if finding.verdict is not Verdict.OK)
    assert not any(fake.token in finding.found + finding.cure for finding in findings)
    order = list(Verdict)
    return {f.what: f for f in sorted(findings, key=lambda f: order.index(f.verdict))}


def verdicts(findings) -> dict[str, str]:
    return {what: finding.verdict.value for what, finding in findings.items()}


# --- Code Ocean ---------------------------------------------------------------------------------


def test_a_sound_account_is_sound_and_nothing_is_made(fake):
    fake.add_computations(3)
    found = looked(fake)
    assert set(verdicts(found).values()) == {"ok"}
    assert found["converter version"].found.startswith("3 is proposed at launch; released: 3, 2, 1")
    assert "skip-ephys (0)" in found["converter parameters"].found
    assert found["list of runs"].found.startswith("3 runs")
    assert "not to be told" in found["scope: capsules, write"].found
    assert fake.ledger == []


def test_no_token_is_said_and_nothing_is_asked(fake):
    settings = settings_of(fake).model_copy(update={"code_ocean_token": SecretStr("")})
    (finding,) = probe_code_ocean(api_of(settings, "4.0.0"), settings, with_version=lambda v: api_of(settings, v))
    assert (finding.what, finding.verdict) == ("token", Verdict.FAILED)
    assert "CODE_OCEAN_API_TOKEN" in finding.cure
    assert fake.count() == 0


def test_a_wrong_token_ends_the_probe_at_the_token(fake):
    settings = settings_of(fake).model_copy(update={"code_ocean_token": SecretStr("another")})
    found = list(probe_code_ocean(api_of(settings, "4.0.0"), settings, with_version=lambda v: api_of(settings, v)))
    assert [(f.what, f.verdict.value) for f in found] == [("address", "ok"), ("token", "failed")]
    assert "401" in found[1].found


@pytest.mark.parametrize(
    ("scope", "what"),
    [
        ("data_asset:read", "token"),
        ("data_asset:write", "scope: data assets, write"),
        ("capsule:write", "scope: capsules, write"),
        ("capsule:read", "converter capsule"),
    ],
)
def test_a_missing_scope_is_found_without_an_effect(fake, scope, what):
    fake.scopes.discard(scope)
    assert looked(fake)[what].verdict is Verdict.FAILED
    assert fake.ledger == []


def test_an_older_server_is_told_from_every_other_refusal(fake):
    fake.version = "3.9.1"
    found = looked(fake)
    assert found["server version"].verdict is Verdict.FAILED
    assert "TRACKMAPPER_CODE_OCEAN_MIN_VERSION" in found["server version"].cure
    fake.version = "4.8.0"
    fake.faults.add("400", times=None)
    assert looked(fake)["search of data assets"].verdict is Verdict.FAILED


def test_a_server_that_is_away_is_said(fake):
    with fake.down():
        assert verdicts(looked(fake)) == {"address": "failed"}


@pytest.mark.parametrize("fault", ["502_html", "truncated", "empty"])
def test_a_broken_server_is_said(fake, fault):
    fake.faults.add(fault, times=None)
    assert "failed" in verdicts(looked(fake)).values()


def test_a_token_over_plain_http_is_refused(fake):
    settings = settings_of(fake)
    plain = settings.model_copy(update={"code_ocean_domain": "http://lab.example.org"})
    (finding,) = probe_code_ocean(api_of(settings, "4.0.0"), plain, with_version=lambda v: api_of(settings, v))
    assert finding.verdict is Verdict.FAILED
    assert "not encrypted" in finding.found
    assert fake.count() == 0


def test_a_capsule_that_is_not_there_or_not_shared_is_told_apart(fake):
    assert "no" in looked(fake, converter_capsule="nowhere")["converter capsule"].found
    fake.world.capsules[CONVERTER].shared = False
    assert "shared" in looked(fake)["converter capsule"].cure


def test_the_monitor_fails_only_who_launches_through_it(fake):
    del fake.world.capsules[MONITOR]
    assert looked(fake)["monitor capsule"].verdict is Verdict.WARNING
    assert looked(fake, route="monitor")["monitor capsule"].verdict is Verdict.FAILED
    assert looked(fake, monitor_capsule="")["monitor capsule"].verdict is Verdict.OK


def test_versions_are_compared_with_the_setting(fake):
    assert looked(fake, converter_release="2")["converter version"].found.startswith("2 is proposed")
    assert looked(fake, converter_release="9")["converter version"].verdict is Verdict.FAILED
    fake.converter.versions = ()
    assert looked(fake)["converter version"].verdict is Verdict.FAILED


def test_a_converter_without_our_parameters_fails(fake):
    fake.converter.panel = tuple(p for p in CONVERTER_PANEL if p.param_name != "neuroglancer")
    found = looked(fake)["converter parameters"]
    assert found.verdict is Verdict.FAILED
    assert "neuroglancer" in found.found


def test_mandatory_parameters_without_a_default_are_named():
    ours = (Parameter("manifest", required=True), Parameter("neuroglancer", required=True))
    more = (Parameter("atlas", required=True), Parameter("mode", default="fast", required=True))
    found = list(panel_findings((*ours, *more), "7"))
    assert [f.verdict.value for f in found] == ["ok", "warning"]
    assert "atlas" in found[1].found
    assert "mode" not in found[1].found


def test_an_attached_asset_that_the_token_may_not_see_is_named(fake):
    fake.converter.baked_in = (fake.add_asset("template", files={"a": b"a"}), "11111111-0000-4000-8000-000000000000")
    assert looked(fake)["assets in the converter"].verdict is Verdict.WARNING
    fake.converter.baked_in = fake.converter.baked_in[:1]
    assert looked(fake)["assets in the converter"].found.startswith("1,")


def test_the_metadata_compared_is_what_captures_send():
    assert set(capture_request(a_plan(), TOKENS[0], "run", "2026-03-01_09-00-00").custom_metadata) == set(
        CUSTOM_METADATA
    )


# --- storage ------------------------------------------------------------------------------------


def stored(clients: Clients, **more):
    settings = Settings(scratch_bucket=SCRATCH_BUCKET, **more)
    found = list(probe_storage(clients, settings, credentials="env", token=TOKENS[0]))
    order = list(Verdict)
    return {f.what: f for f in sorted(found, key=lambda f: order.index(f.verdict))}


def keys() -> list[str]:
    told = s3_server().client.list_objects_v2(Bucket=SCRATCH_BUCKET, Prefix=f"{SCRATCH_PREFIX}/trackmapper/probe/")
    return [item["Key"] for item in told.get("Contents", ())]


class Denying:
    """A client of S3 that is refused some calls."""

    def __init__(self, client, *names: str) -> None:
        self._client, self._names = client, names

    def __getattr__(self, name: str):
        if name not in self._names:
            return getattr(self._client, name)

        def refuse(**_):
            raise self._client.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, name)

        return refuse


def test_storage_that_works_is_left_as_it_was():
    client = s3_server().client
    found = stored(Clients(client, client), asset_buckets=SCRATCH_BUCKET)
    assert set(verdicts(found).values()) == {"ok"}
    assert "deleted again" in found["scratch bucket"].found
    assert keys() == []


def test_a_bucket_that_cannot_be_listed_is_a_warning_and_the_scratch_bucket_a_failure():
    client = s3_server().client
    found = stored(Clients(client, client), asset_buckets=f"nowhere-at-all, {SCRATCH_BUCKET}")
    assert found["bucket nowhere-at-all"].verdict is Verdict.WARNING
    assert found[f"bucket {SCRATCH_BUCKET}"].verdict is Verdict.OK
    refused = Denying(client, "put_object")
    found = stored(Clients(refused, client), asset_buckets="")
    assert found["scratch bucket"].verdict is Verdict.FAILED
    assert "AccessDenied" in found["scratch bucket"].found


def test_an_object_that_cannot_be_deleted_is_named():
    client = s3_server().client
    found = stored(Clients(Denying(client, "delete_object"), client), asset_buckets="")
    assert found["scratch bucket"].verdict is Verdict.WARNING
    (key,) = keys()
    assert key in found["scratch bucket"].cure
    client.delete_object(Bucket=SCRATCH_BUCKET, Key=key)


def test_a_public_bucket_is_read_where_our_credentials_are_refused():
    client = s3_server().client
    found = stored(Clients(Denying(client, "list_objects_v2"), client), asset_buckets=SCRATCH_BUCKET)
    assert "without credentials" in found[f"bucket {SCRATCH_BUCKET}"].found


def test_without_credentials_nothing_is_written():
    client = s3_server().client
    found = stored(Clients(None, client), asset_buckets=SCRATCH_BUCKET)
    assert found["S3 credentials"].verdict is Verdict.FAILED
    assert found["scratch bucket"].verdict is Verdict.FAILED
    assert found[f"bucket {SCRATCH_BUCKET}"].verdict is Verdict.OK


# --- measuring ----------------------------------------------------------------------------------


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clocked():
    clock = Clock()
    with code_ocean(sample=False, clock=clock) as fake:
        fake.add_capsule(FakeCapsule(TINY, "Tiny", "1", "tiny", (1,), ()))
        fake.set_outcome(replace(fake.converter.outcome, kind="hang"), TINY, times=None)
        yield fake, clock


def measure(fake, clock, **more) -> Measure:
    settings = settings_of(fake, scratch_bucket=SCRATCH_BUCKET)
    return Measure(
        api=api_of(settings, "4.0.0"),
        s3=s3_server().client,
        settings=settings,
        capsule=TINY,
        tokens=TOKENS,
        now=clock,
        sleep=clock.sleep,
        **more,
    )


def nothing_is_left(fake) -> bool:
    return not fake.world.assets and not fake.world.computations and keys() == []


def test_lags_are_measured_and_everything_is_taken_away(clocked):
    fake, clock = clocked
    fake.world.timing = Timing(asset_s=20, listing_lag_s=100, search_lag_s=40)
    measured = measure(fake, clock).run()
    assert len(measured.rounds) == 2
    for each in measured.rounds:
        assert 40 <= each.asset.seen_s <= 45
        assert 100 <= each.run.seen_s <= 106
        assert each.last_used_moved is True
    assert measured.left == ()
    assert nothing_is_left(fake)
    assert all(TAG in effect.details["tags"] for effect in fake.effects("asset"))
    assert windows(measured).asset_min == 10
    assert windows(measured).run_min == math.ceil(30 + 3 * measured.runs[0].seen_s / 60)


@pytest.mark.parametrize(("endpoint", "what"), [("data_assets", "asset"), ("computations", "run")])
def test_a_lost_answer_is_found_counted_and_taken_away(clocked, endpoint, what):
    fake, clock = clocked
    fake.faults.add("504_after", method="POST", endpoint=endpoint)
    measured = measure(fake, clock).run()
    lost = getattr(measured.rounds[0], what)
    assert "504" in lost.lost
    assert lost.seen_s is not None
    assert nothing_is_left(fake)


def test_what_never_happened_is_not_taken_for_seen(clocked):
    fake, clock = clocked
    fake.faults.add("reset_before", method="POST", endpoint="computations")
    measured = measure(fake, clock, patience_s=60.0).run()
    assert measured.rounds[0].run.seen_s is None
    assert measured.rounds[0].run.lost
    assert nothing_is_left(fake)


def test_a_refusal_ends_it_and_what_was_made_is_taken_away(clocked):
    fake, clock = clocked
    fake.faults.add("400", method="POST", endpoint="computations")
    with pytest.raises(RefusedError):
        measure(fake, clock).run()
    assert fake.effects("asset")
    assert nothing_is_left(fake)


def test_a_failed_asset_says_that_code_ocean_must_read_the_bucket(clocked):
    fake, clock = clocked
    wrong = measure(fake, clock)
    wrong.s3 = Denying(s3_server().client)
    wrong.s3.put_object = lambda **_: None  # the object is not there, as for a server that may not read it
    with pytest.raises(RefusedError, match="Let Code Ocean read"):
        wrong.run()
    assert nothing_is_left(fake)


def test_what_cannot_be_deleted_is_named(clocked):
    fake, clock = clocked
    told: list[str] = []
    fake.faults.add("403", method="DELETE", endpoint="data_assets/{id}", times=None)
    fake.faults.add("403", method="PATCH", endpoint="data_assets/{id}/archive", times=None)
    measured = measure(fake, clock, say=told.append).run()
    assert len(measured.left) == 2
    assert all(ident in " ".join(measured.left) for ident in fake.world.assets)
    assert [words for words in told if words.startswith("left:")]


def test_an_asset_that_may_not_be_deleted_is_archived(clocked):
    fake, clock = clocked
    fake.faults.add("403", method="DELETE", endpoint="data_assets/{id}", times=None)
    assert measure(fake, clock).run().left == ()
    assert all(asset.archived for asset in fake.world.assets.values())


def test_a_capsule_that_needs_parameters_is_refused_before_anything_is_made(clocked):
    fake, clock = clocked
    fake.world.capsules[TINY].panel = (PanelParameter("Atlas", "atlas", required=True),)
    with pytest.raises(InputError, match="atlas"):
        measure(fake, clock).run()
    fake.world.capsules.pop(TINY)
    with pytest.raises(PlatformError):
        measure(fake, clock).run()
    assert fake.ledger == []


def test_windows_never_fall_below_the_floors_and_grow_with_what_was_seen():
    def of(*rounds: Round) -> tuple[int, int]:
        advised = windows(Measurement(rounds, patience_s=900.0))
        return advised.asset_min, advised.run_min

    assert of() == (10, 35)
    assert of(Round(Sighting(1.0), Sighting(2.0))) == (10, 35)
    assert of(Round(Sighting(120.0), Sighting(180.0))) == (11, 39)
    late = Round(Sighting(300.0, lost="HTTP 504"), Sighting(1200.0, lost="reset"))
    assert of(late) == (15, 60)
    assert of(Round(Sighting(None), Sighting(None))) == (50, 75)
    assert spread([Sighting(None), Sighting(9.0, lost="x")]) is None
    assert spread([Sighting(1.0), Sighting(3.0), Sighting(2.0)]) == (2.0, 3.0)


def test_settle_windows_below_the_safe_ones_are_warned_of(fake):
    assert settings_warnings(settings_of(fake)) == ()
    assert settings_warnings(settings_of(fake, run_settle_minutes=60.0, asset_settle_minutes=10.0)) == ()
    (words,) = settings_warnings(settings_of(fake, run_settle_minutes=1.0))
    assert "TRACKMAPPER_RUN_SETTLE_MINUTES is 1, less than the safe 35" in words
    assert len(settings_warnings(settings_of(fake, run_settle_minutes=0.0, asset_settle_minutes=9.5))) == 2
    assert settings_warnings(Settings(platform="local", run_settle_minutes=1.0)) == ()
