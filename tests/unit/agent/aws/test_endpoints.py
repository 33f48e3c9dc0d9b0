"""Endpoints are named as AWS names them, and a proxy is taken exactly where Go would take it."""

from __future__ import annotations

import pytest

from ecscope.agent.aws.endpoints import (
    Proxies,
    ServiceEndpoints,
    UnusableProxy,
    ecs_endpoint,
    is_address,
    origin,
    service_endpoint,
)
from tests.tables import each_row


@each_row(
    "region, endpoint",
    [
        ("us-west-2", "https://ecs.us-west-2.amazonaws.com"),
        ("us-gov-east-1", "https://ecs.us-gov-east-1.amazonaws.com"),
        ("cn-north-1", "https://ecs.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "https://ecs.eusc-de-east-1.amazonaws.eu"),
        ("us-iso-east-1", "https://ecs.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "https://ecs.us-isob-east-1.sc2s.sgov.gov"),
        ("mars-north-1", "https://ecs.mars-north-1.amazonaws.com"),
    ],
)
def test_each_partition_has_its_suffix(region: str, endpoint: str) -> None:
    assert ecs_endpoint(region=region, override="") == endpoint


def test_other_services_follow_the_same_form() -> None:
    assert service_endpoint("api.ecr", "eu-west-1") == "https://api.ecr.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("override", "endpoint"),
    [
        ("http://127.0.0.1:18000", "http://127.0.0.1:18000"),
        ("https://ecs.example/", "https://ecs.example"),
        ("ecs.example:444", "https://ecs.example:444"),
    ],
)
def test_a_configured_endpoint_is_taken_as_it_is(override: str, endpoint: str) -> None:
    assert ecs_endpoint(region="us-west-2", override=override) == endpoint


def test_an_origin_tells_no_password() -> None:
    assert origin("http://user:password@proxy:3128/path") == "http://proxy:3128"
    assert origin("http://user:pass/w@rd@proxy:3128") == "http://proxy:3128"


@each_row(
    "url, can_be_asked",
    [
        ("https://ecs.example", True),
        ("http://[::1]:8000/", True),
        ("http://:80", False),
        ("http://ecs.example:eighty", False),
        ("http://[", False),
        ("http://a b", False),
        ("ftp://ecs.example", False),
        ("ecs.example", False),
    ],
)
def test_what_is_no_address_is_known_before_it_is_asked(url: str, can_be_asked: bool) -> None:
    assert is_address(url) is can_be_asked


PROXIES = Proxies(http="http://plain:3128", https="tls:3129")


@each_row(
    "url, proxy",
    [
        ("http://ecs.example/", "http://plain:3128"),
        ("ws://acs.example/ws?a=b", "http://plain:3128"),
        ("https://ecs.example/", "http://tls:3129"),
        ("wss://acs.example/ws", "http://tls:3129"),
        ("http://localhost:80/", None),
        ("http://127.0.0.1:18000/", None),
        ("https://[::1]/", None),
    ],
)
def test_each_scheme_has_its_proxy_and_this_host_none(url: str, proxy: str | None) -> None:
    assert PROXIES.for_url(url) == proxy


def test_without_a_proxy_the_way_is_straight() -> None:
    assert Proxies().for_url("https://ecs.example/") is None


@each_row(
    "no_proxy, url, goes_straight",
    [
        ("169.254.169.254,169.254.170.2", "http://169.254.169.254/latest", True),
        ("169.254.169.254, ecs.example", "https://ecs.example/", True),
        ("example", "https://ecs.example/", True),
        ("example", "https://notexample/", False),
        (".example", "https://ecs.example/", True),
        (".example", "https://example/", False),
        ("*.example", "https://ecs.example/", True),
        ("EXAMPLE", "https://ecs.Example./", True),
        ("*", "https://anything/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/8", "https://ecs.example/", False),
        ("10.0.0.0/nonsense", "https://10.1.2.3/", False),
        ("ecs.example:443", "https://ecs.example/", True),
        ("ecs.example:443", "wss://ecs.example/", True),
        ("ecs.example:444", "https://ecs.example/", False),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/", True),
        ("10.1.2.3:8443", "https://10.1.2.3/", False),
        ("fd00:ec2::254", "http://[fd00:ec2::254]/latest", True),
        ("[fd00:ec2::254]:80", "http://[fd00:ec2::254]/latest", True),
        (",,", "https://ecs.example/", False),
    ],
)
def test_exceptions_are_read_as_go_reads_them(no_proxy: str, url: str, goes_straight: bool) -> None:
    proxies = Proxies(http="http://proxy", https="http://proxy", no_proxy=no_proxy)
    assert (proxies.for_url(url) is None) is goes_straight


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hush/hush@proxy:3128",
        "http://user:hush@[proxy",
        "http://user:hush hush@proxy:3128",
        "http://user:hush@proxy:port",
        "socks5://user:hush@proxy:1080",
    ],
)
def test_what_is_no_proxy_is_told_without_quoting_it(proxy: str) -> None:
    proxies = Proxies(http=proxy, https=proxy, no_proxy="straight.example")
    with pytest.raises(UnusableProxy, match="HTTPS_PROXY is not the address of an HTTP proxy") as told:
        proxies.for_url("https://ecs.example")
    assert "hush" not in str(told.value)
    with pytest.raises(UnusableProxy, match="HTTP_PROXY is not the address of an HTTP proxy"):
        proxies.for_url("ws://ecs.example")
    assert proxies.for_url("https://straight.example") is None
    assert "hush" not in repr(proxies)


def test_no_password_is_shown() -> None:
    shown = repr(Proxies(http="http://user:hush@plain:3128", https="user:hush@tls:3129", no_proxy="example"))
    assert "hush" not in shown
    assert "plain:3128" in shown


def test_a_service_s_own_endpoint_comes_before_that_of_all() -> None:
    endpoints = ServiceEndpoints(of_all="http://all/", of_services={"ssm": "http://ssm/", "logs": ""})
    assert (endpoints.of("ssm", "x"), endpoints.of("logs", "x")) == ("http://ssm", "http://all")
    assert ServiceEndpoints().of("ssm", "eu-west-1") == "https://ssm.eu-west-1.amazonaws.com"
