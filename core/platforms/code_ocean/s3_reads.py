"""GETs of S3 over boto3's connections and signatures, without what boto3 does around each: that costs three times more.

Whatever is not a plain answer (a server that is busy, a connection that breaks) is left to boto3's own client, with its
retries; whoever calls goes that way when `None` comes back.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree

import boto3
from botocore import UNSIGNED
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,80})</Code>")
_PLAIN = frozenset({200, 403, 404})
_REGION = "x-amz-bucket-region"


@dataclass(frozen=True, slots=True)
class Answer:
    """A plain answer of S3."""

    status: int
    code: str
    """S3's word for an error."""
    raw: Any
    """The body as urllib3 has it; it is read, or closed, by who asked."""
    size: int | None
    """Of the body, in bytes, where S3 said it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing: full keys, and the prefixes that end at the next slash."""

    files: tuple[tuple[str, int], ...]
    folders: tuple[str, ...]
    next_token: str


class QuickReads:
    """Sends GETs. Safe in several threads.

    Args:
        session: boto3's session.
        config: Time-outs, size of the pool, form of the addresses.
        client: boto3's own of this session and configuration; it says where a bucket's objects are.
    """

    def __init__(self, session: boto3.session.Session, config: Config, client: Any) -> None:  # noqa: ANN401 - no types
        self._session, self._config = session, config.merge(Config(signature_version=UNSIGNED))
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name or ""
        self._clients = {self._region: client}
        self._lock = threading.Lock()
        self._regions: dict[str, str] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self._http = URLLib3Session(
            # As boto3 reads AWS_CA_BUNDLE and the `ca_bundle` of a profile.
            verify=session._session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(client.meta.endpoint_url),
            timeout=(config.connect_timeout, config.read_timeout),
            max_pool_connections=config.max_pool_connections,
        )

    def get(self, bucket: str, key: str, *, signed: bool) -> Answer | None:
        """An object; None when boto3 should try."""
        return self._sent(bucket, "/" + quote(key, safe="/-._~"), signed=signed)

    def list_page(self, bucket: str, prefix: str, delimiter: str, token: str, *, signed: bool) -> Answer | Page | None:
        """A part of a listing; the answer when it is an error, None when boto3 should try."""
        asked = {
            "continuation-token": token,
            "delimiter": delimiter,
            "encoding-type": "url",
            "list-type": "2",
            "prefix": prefix,
        }
        query = urlencode({name: text for name, text in asked.items() if text}, quote_via=quote, safe="-._~")
        answer = self._sent(bucket, f"/?{query}", signed=signed)
        if answer is None or answer.status != 200:
            return answer
        try:
            return _page(answer.raw.read())
        except (HTTPError, OSError, ElementTree.ParseError, ValueError):
            return None

    def _sent(self, bucket: str, path: str, *, signed: bool) -> Answer | None:
        if not _BUCKET.fullmatch(bucket):
            return None
        try:
            for _ in range(2):
                region = self._regions.get(bucket, self._region)
                request = AWSRequest("GET", self._home(bucket, region) + path, stream_output=True)
                if signed:
                    keys = self._credentials.get_frozen_credentials()
                    name = "us-east-1" if region in ("", "aws-global") else region
                    S3SigV4Auth(keys, "s3", name).add_auth(request)
                answer = self._http.send(request.prepare())
                told = answer.headers.get(_REGION, "")
                if answer.status_code in _PLAIN:
                    return _plain(answer)
                answer.raw.close()
                if not told or told == region:
                    return None
                self._regions[bucket] = told
        except (BotoCoreError, HTTPError, OSError):
            return None
        return None

    def _home(self, bucket: str, region: str) -> str:
        """Where a bucket's objects begin, as boto3's own rules say for the region."""
        home = self._homes.get((bucket, region))
        if home is None:
            with self._lock:
                if region not in self._clients:
                    self._clients[region] = self._session.client("s3", region_name=region, config=self._config)
            url = self._clients[region].generate_presigned_url("list_objects_v2", Params={"Bucket": bucket})
            parts = urlsplit(url)
            home = self._homes[bucket, region] = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        return home


def _plain(answer: Any) -> Answer:  # noqa: ANN401 - botocore has no types
    told = answer.headers.get("content-length", "")
    size = int(told) if told.isascii() and told.isdigit() else None
    code = _CODE.search(answer.content) if answer.status_code != 200 else None
    return Answer(answer.status_code, code[1].decode() if code else str(answer.status_code), answer.raw, size)


def _page(body: bytes) -> Page:
    """A listing's XML. Raises ValueError or ParseError when it is none."""
    root = ElementTree.fromstring(body)
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    if root.tag != f"{space}ListBucketResult":
        raise ValueError("no listing")
    files = tuple(
        (_text(one, f"{space}Key"), int(one.findtext(f"{space}Size", ""))) for one in root.iterfind(f"{space}Contents")
    )
    folders = tuple(_text(one, f"{space}Prefix") for one in root.iterfind(f"{space}CommonPrefixes"))
    more = root.findtext(f"{space}IsTruncated", "") == "true"
    token = root.findtext(f"{space}NextContinuationToken", "")
    if more and not token:
        raise ValueError("no way on")
    return Page(files, folders, token if more else "")


def _text(element: ElementTree.Element, name: str) -> str:
    """A key or prefix; keys may hold what XML may not, so they come percent-encoded."""
    return unquote_plus(element.findtext(name, ""))
