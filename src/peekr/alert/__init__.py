"""Alerts: rules that look at each trace, and sinks that say what they found.

from peekr.alert import ErrorRate, SlackSink

peekr.instrument(alerts=[ErrorRate(threshold=0.05, sinks=[SlackSink(url)])])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peekr.late import public_names

if TYPE_CHECKING:
    from peekr.alert.base import BaseAlert, FunctionAlert
    from peekr.alert.budget import BudgetAlert, BudgetNotice
    from peekr.alert.rules import CostSpike, ErrorRate, LatencyP95, ScoreFloor, TokenGrowth
    from peekr.alert.sinks import DeliveryError, SlackSink, StderrSink, WebhookSink

__all__ = [
    "BaseAlert",
    "BudgetAlert",
    "BudgetNotice",
    "CostSpike",
    "DeliveryError",
    "ErrorRate",
    "FunctionAlert",
    "LatencyP95",
    "ScoreFloor",
    "SlackSink",
    "StderrSink",
    "TokenGrowth",
    "WebhookSink",
]

# Where each public name lives; loaded at first use, so that who sets a budget loads no rules.
_HOMES = {
    "BaseAlert": "peekr.alert.base",
    "BudgetAlert": "peekr.alert.budget",
    "BudgetNotice": "peekr.alert.budget",
    "CostSpike": "peekr.alert.rules",
    "DeliveryError": "peekr.alert.sinks",
    "ErrorRate": "peekr.alert.rules",
    "FunctionAlert": "peekr.alert.base",
    "LatencyP95": "peekr.alert.rules",
    "ScoreFloor": "peekr.alert.rules",
    "SlackSink": "peekr.alert.sinks",
    "StderrSink": "peekr.alert.sinks",
    "TokenGrowth": "peekr.alert.rules",
    "WebhookSink": "peekr.alert.sinks",
}

__getattr__, __dir__ = public_names(globals(), _HOMES)
