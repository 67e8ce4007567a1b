from __future__ import annotations

import asyncio

from headrace.kit.news import News


async def test_everybody_who_waits_is_woken() -> None:
    news = News()
    waiting = [asyncio.create_task(news.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    news.tell()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_word_between_a_look_and_the_wait_ends_the_wait() -> None:
    news = News()
    seen = news.count
    news.tell()
    await asyncio.wait_for(news.wait(60, seen), 5)


async def test_without_word_the_wait_ends_by_itself() -> None:
    news = News()
    news.tell()
    await asyncio.wait_for(news.wait(0.01, news.count), 5)
    await asyncio.wait_for(news.wait(0.01), 5)
