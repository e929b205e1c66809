"""Colours and the style sheet. Every colour stands beside a word: nobody has to tell red from green."""

from __future__ import annotations

__all__ = ["BEARINGS", "CSS", "PALETTE", "SEVERITIES", "TONES"]

# Okabe and Ito's palette, told apart with every kind of colour vision (https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D00", "#555555")
SEVERITIES = {"normal": "#1a7f37", "warning": "#b35900", "critical": "#c2202f"}
TONES = {
    "normal": "good", "info": "plain", "warning": "care", "critical": "bad", "unknown": "gone",
    "confirmed": "bad", "suspected": "care", "ruled_out": "good",
    "proposed": "plain", "executed": "good", "undone": "plain", "refused": "gone", "failed": "bad",
    "low": "good", "medium": "care", "high": "bad",
}  # fmt: skip
BEARINGS = {"for": "+", "against": "-", "missing": "?"}

CSS = """
.rbk{font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;border-left:4px solid #8884;padding:.1em 0 .3em .9em;
margin:.3em 0 .8em;max-width:66em;overflow-wrap:break-word}
.rbk.good{border-color:#1a7f37}.rbk.care{border-color:#bf8700}.rbk.bad{border-color:#c2202f}.rbk.plain{border-color:#0969da}
.rbk .say{font-size:1.1em;font-weight:600;margin:.15em 0 .4em}
.rbk .tag{display:inline-block;font-size:.78em;font-weight:700;letter-spacing:.03em;text-transform:uppercase;padding:.08em .55em;
border-radius:.9em;border:1px solid currentColor;margin-right:.6em;vertical-align:.12em;white-space:nowrap}
.rbk .good{color:#1a7f37}.rbk .care{color:#9a5b00}.rbk .bad{color:#c2202f}.rbk .plain{color:#0969da}.rbk .gone{color:#6e7781}
.rbk p{margin:.25em 0}.rbk ul{margin:.25em 0;padding-left:1.2em}.rbk li{margin:.1em 0}
.rbk .box{overflow-x:auto;margin:.4em 0}.rbk .box table{border-collapse:collapse;font-size:.92em;margin:0;table-layout:auto}
.rbk .box th,.rbk .box td{padding:.2em .8em .2em 0;text-align:left;vertical-align:top;border:0;border-bottom:1px solid #8883;
max-width:48em;background:none;white-space:normal}.rbk .box td p{margin:0}.rbk .box tr{background:none}
.rbk .box th{font-weight:600;white-space:nowrap}.rbk .box .num{text-align:right;font-variant-numeric:tabular-nums;
white-space:nowrap}.rbk .box caption{text-align:left;font-weight:600;padding:.3em 0 .1em}
.rbk pre.code{font:12.5px/1.45 ui-monospace,Menlo,Consolas,monospace;background:#8881;padding:.45em .7em;border-radius:4px;
overflow-x:auto;margin:.35em 0;white-space:pre-wrap;word-break:break-word}
.rbk pre .add{color:#1a7f37}.rbk pre .del{color:#c2202f}.rbk details{margin:.35em 0}.rbk summary{cursor:pointer;color:#0969da}
.rbk dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em;margin:.4em 0}
.rbk dl.facts>dt{font-weight:600;float:none;width:auto;overflow:visible;white-space:nowrap}
.rbk dl.facts>dd{margin:0;padding:0;float:none;width:auto}
@media(prefers-color-scheme:dark){.jp-mod-dark .rbk .care,.report .rbk .care{color:#d29922}}
"""
