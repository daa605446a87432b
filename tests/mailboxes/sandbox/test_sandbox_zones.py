"""Zones written out for the protocol, and read back, go as the tz database says."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tzlocal.windows_tz import win_tz

from mailboxes.sandbox import zones
from mailboxes.sandbox.xmltext import parse_fragment
from tests import ews_schema
from tests.mailboxes.sandbox.wire import Ask

# Zones whose rules of this year no pair of yearly transitions can tell: Ramadan has no fixed date, …
_ALL = sorted(set(win_tz.values()) - {"Africa/Casablanca", "Africa/El_Aaiun"})


def written(name: str, year: int = 2026) -> zones.WrittenZone:
    text = zones.described(ZoneInfo(name), year, "StartTimeZone", zones.CUSTOM, "Own")
    found = zones.zone_of(parse_fragment(text))
    assert isinstance(found, zones.WrittenZone)
    return found


@pytest.mark.parametrize("name", _ALL)
def test_a_zone_that_is_written_out_goes_like_itself_all_year(name: str) -> None:
    zone, own = ZoneInfo(name), written(name)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    while at.year == 2026:
        assert at.astimezone(own).replace(tzinfo=None) == at.astimezone(zone).replace(tzinfo=None), at
        at += timedelta(hours=6)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(0, 525_599),
)
def test_a_moment_survives_the_way_into_a_written_zone_and_back(name: str, minute: int) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    local = at.astimezone(written(name))
    assert local.astimezone(UTC) == at
    assert local.replace(tzinfo=ZoneInfo(name)).astimezone(UTC) == at


def test_definitions_change_at_dates_and_may_have_no_summer() -> None:
    text = (
        '<t:StartTimeZone Id="x" Name="x"><t:Periods><t:Period Bias="PT0S" Name="a" Id="a"/><t:Period Bias="-PT1H" Name="b" Id="b"/></t:Periods>'
        '<t:TransitionsGroups><t:TransitionsGroup Id="0"><t:Transition><t:To Kind="Period">a</t:To></t:Transition></t:TransitionsGroup>'
        '<t:TransitionsGroup Id="1"><t:RecurringDateTransition><t:To Kind="Period">b</t:To><t:TimeOffset>PT0S</t:TimeOffset><t:Month>5</t:Month><t:Day>1</t:Day>'
        '</t:RecurringDateTransition><t:RecurringDateTransition><t:To Kind="Period">a</t:To><t:TimeOffset>PT0S</t:TimeOffset><t:Month>9</t:Month><t:Day>1</t:Day>'
        "</t:RecurringDateTransition></t:TransitionsGroup></t:TransitionsGroups><t:Transitions>"
        '<t:Transition><t:To Kind="Group">0</t:To></t:Transition><t:AbsoluteDateTransition><t:To Kind="Group">1</t:To>'
        "<t:DateTime>2026-01-01T00:00:00</t:DateTime></t:AbsoluteDateTransition></t:Transitions></t:StartTimeZone>"
    )
    zone = zones.zone_in(text)
    offsets = [datetime(year, month, 1, 12, tzinfo=zone).utcoffset() for year in (2025, 2026) for month in (4, 6, 10)]
    assert offsets == [timedelta(0)] * 4 + [timedelta(hours=1), timedelta(0)]
    assert datetime(2026, 6, 1, tzinfo=zone).tzname() == "x"


def test_a_zone_without_groups_is_its_period_and_an_unreadable_one_is_utc() -> None:
    plain = (
        '<t:StartTimeZone Id="x"><t:Periods><t:Period Bias="-PT5H30M" Name="a" Id="a"/></t:Periods></t:StartTimeZone>'
    )
    assert datetime(2026, 1, 1, tzinfo=zones.zone_in(plain)).utcoffset() == timedelta(hours=5, minutes=30)
    assert zones.zone_in('<t:StartTimeZone Id="nowhere"/>') is UTC
    assert zones.zone_in("") is UTC
    assert zones.zone_in('<t:StartTimeZone Id="tzone://Microsoft/Utc"/>') is UTC


@pytest.mark.parametrize(
    "wrong",
    [
        '<t:StartTimeZone Id="x"><t:Periods/></t:StartTimeZone>',
        '<t:StartTimeZone Id="x"><t:Periods><t:Period Bias="PT30H" Id="a"/></t:Periods></t:StartTimeZone>',
        '<t:StartTimeZone Id="x"><t:Periods><t:Period Bias="PT1H" Id="a"/></t:Periods><t:TransitionsGroups><t:TransitionsGroup Id="0"/>'
        "</t:TransitionsGroups></t:StartTimeZone>",
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(wrong: str) -> None:
    with pytest.raises(zones.BadZone):
        zones.zone_of(parse_fragment(wrong))


@given(st.text(alphabet="PTDHMS0123456789-", max_size=12), st.integers(-5, 20), st.integers(-9, 40))
def test_no_definition_fails_in_another_way(bias: str, month: int, day: int) -> None:
    text = (
        f'<t:Z Id="x"><t:Periods><t:Period Bias="{bias}" Id="a"/></t:Periods><t:TransitionsGroups><t:TransitionsGroup Id="0">'
        f'<t:RecurringDateTransition><t:To Kind="Period">a</t:To><t:TimeOffset>{bias}</t:TimeOffset><t:Month>{month}</t:Month><t:Day>{day}</t:Day>'
        "</t:RecurringDateTransition></t:TransitionsGroup></t:TransitionsGroups></t:Z>"
    )
    try:
        zone = zones.zone_of(parse_fragment(text))
    except zones.BadZone:
        return
    assert datetime(2027, 1, 1, tzinfo=zone).utcoffset() is not None


def test_the_server_tells_its_zones(ask: Ask) -> None:
    ews_schema.require()
    every = ask("<m:GetServerTimeZones/>")
    assert len(every.all("t:TimeZoneDefinition")) == len(win_tz)
    some = ask(
        "<m:GetServerTimeZones><m:Ids><t:Id>Romance Standard Time</t:Id><t:Id>Nowhere</t:Id></m:Ids></m:GetServerTimeZones>"
    )
    (paris,) = some.all("t:TimeZoneDefinition")
    winter = datetime(2026, 1, 1, tzinfo=zones.zone_of(etree.fromstring(etree.tostring(paris))))
    assert winter.utcoffset() == timedelta(hours=1)
    names = ask('<m:GetServerTimeZones ReturnFullTimeZoneData="false"/>')
    assert (len(names.all("t:TimeZoneDefinition")), names.all("t:Period")) == (len(win_tz), [])
