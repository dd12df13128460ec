"""Triage by rules, for where no model is: transparent, the same each time, and no cleverer than they look. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from magic.definitions import Category, Definition
from magic.messages import Message, Priority, Verdict, parts_for
from magic.values import check_values

MOST_ITEMS = 5
ITEM_CHARS = 160
SUMMARY_CHARS = 240

WORDS: dict[Category, str] = {
    Category.SPAM: "unsubscribe|lottery|winner|you have won|prize|viagra|giveaway|click here|act now|wire transfer",
    Category.BILLING: "invoice|refund|charged?|billing|bill|payment|receipt|overcharged|subscription|vat|credit card",
    Category.BUG: "bug|crash(?:es|ed)?|error|exception|traceback|stack trace|broken|does(?: not|n't) work|"
    "fail(?:s|ed)?|500|404|regression|blank (?:page|screen)|freezes?",
    Category.MEETING: "meeting|minutes|agenda|attendees|action items|sync|standup|stand-up|calendar|reschedule",
    Category.SALES: "pricing|quote|demo|trial|proposal|buy|purchase|licen[cs]es?|seats|enterprise plan|discount|"
    "interested in",
    Category.SUPPORT: "help|how (?:do|can|to)|question|cannot|can't|unable|support|password|log ?in|reset|account",
    Category.FEEDBACK: "feedback|suggestion|love|great|thank you|thanks|disappointed|feature request|"
    "would be nice|improve",
}
"""What tells a category; of two with as many words found the one that stands first."""

URGENCY: dict[Priority, str] = {
    Priority.URGENT: "urgent|urgently|asap|immediately|outage|is down|data loss|breach|emergency|right now",
    Priority.HIGH: "today|tomorrow|deadline|as soon as possible|blocked|blocking|cancel my|angry|unacceptable|overdue",
    Priority.LOW: "no rush|whenever|no hurry|newsletter|fyi|for your information",
}

_ASKS = re.compile(
    r"^(?:[-*•]\s*|\d+[.)]\s*)?(?:please|kindly|could you|can you|would you|we need|i need|todo|action)\b",
    re.IGNORECASE,
)


def judge(message: Message, templates: Mapping[str, Definition]) -> Verdict:
    """The category with the most words, the priority of the first rule that fits, and the sentences that ask."""
    text = f"{message.subject or ''}\n{message.content}"
    reasons = []
    category = Category.OTHER
    found = {each: _found(words, text) for each, words in WORDS.items()}
    if best := max(found.values(), key=len):
        category = next(each for each, words in found.items() if len(words) == len(best))
        reasons.append(f"{category}: {', '.join(found[category][:5])}")
    priority = Priority.LOW if category is Category.SPAM else Priority.NORMAL
    for level, words in URGENCY.items():
        if category is not Category.SPAM and (why := _found(words, text)):
            priority = level
            reasons.append(f"{level}: {', '.join(why[:5])}")
            break
    template = _template(category, message, templates)
    return Verdict(
        category=category,
        priority=priority,
        summary=_summary(message),
        action_items=_action_items(message.content),
        reasons=reasons,
        suggested_template=template.name if template else None,
    )


def _found(words: str, text: str) -> list[str]:
    """The different words of a rule that stand in a text, in the order of the text."""
    return list(dict.fromkeys(match.lower() for match in re.findall(rf"\b(?:{words})\b", text, re.IGNORECASE)))


def _template(category: Category, message: Message, templates: Mapping[str, Definition]) -> Definition | None:
    """The first, by name, that suits the category and lacks nothing that it needs."""
    for _, template in sorted(templates.items()):
        if (
            category in template.triage.categories
            and not check_values(template.inputs, parts_for(template, message))[1]
        ):
            return template
    return None


def _summary(message: Message) -> str:
    text = " ".join(message.content.split())
    sentence = re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]
    said = f"{message.subject}: {sentence}" if message.subject else sentence
    return _short(said, SUMMARY_CHARS)


def _action_items(content: str) -> list[str]:
    sentences = (each.strip() for line in content.splitlines() for each in re.split(r"(?<=[.!?])\s+", line))
    asking = (each for each in sentences if each.endswith("?") or _ASKS.match(each))
    return [_short(each, ITEM_CHARS) for each in dict.fromkeys(asking)][:MOST_ITEMS]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
