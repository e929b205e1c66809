"""Colours and the style sheet. Every colour stands beside a word: nobody has to tell red from green."""

from __future__ import annotations

__all__ = ["BEARINGS", "CSS", "GREY", "MARKERS", "PALETTE", "SEVERITIES", "TONES"]

# Okabe and Ito's palette, told apart with every kind of colour vision (https://jfly.uni-koeln.de/color/).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D00", "#555555")
GREY = "#6e7781"
SEVERITIES = {"normal": "#1a7f37", "warning": "#b35900", "critical": "#c2202f"}
MARKERS = {"onset": "#c2202f", "deploy": "#0072B2", "alert": "#b35900", "action": "#1a7f37", "event": GREY}
TONES = {
    "normal": "good", "info": "plain", "warning": "care", "critical": "bad", "unknown": "lost",
    "confirmed": "bad", "suspected": "care", "ruled_out": "gone",
    "proposed": "plain", "executed": "good", "undone": "plain", "refused": "gone", "failed": "bad",
    "low": "good", "medium": "care", "high": "bad",
    "better": "good", "same": "care", "worse": "bad",
    "for": "bad", "against": "good", "missing": "lost",
}  # fmt: skip
BEARINGS = {"for": "+", "against": "-", "missing": "?"}

_DARK = "--good:#3fb950;--care:#d29922;--bad:#ff7b72;--plain:#58a6ff;--gone:#9198a1;--lost:#bc8cff;--soft:#9198a1"

# Colours are variables, so that a dark JupyterLab or a dark browser changes them in one place. Element names below `.box`
# and `dl.facts` are repeated against JupyterLab's own rules for tables and lists.
CSS = f"""
.rbk{{--good:#1a7f37;--care:#9a5b00;--bad:#c2202f;--plain:#0969da;--gone:#6e7781;--lost:#8250df;--soft:#59636e;
font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;border-left:4px solid #8884;padding:.1em 0 .3em .9em;
margin:.3em 0 .8em;max-width:66em;overflow-wrap:break-word}}
[data-jp-theme-light="false"] .rbk,.vscode-dark .rbk{{{_DARK}}}
@media(prefers-color-scheme:dark){{.report .rbk{{{_DARK}}}}}
.rbk.good{{border-color:var(--good)}}.rbk.care{{border-color:var(--care)}}.rbk.bad{{border-color:var(--bad)}}
.rbk.plain{{border-color:var(--plain)}}.rbk.gone{{border-color:var(--gone)}}.rbk.lost{{border-color:var(--lost)}}
.rbk .good{{color:var(--good)}}.rbk .care{{color:var(--care)}}.rbk .bad{{color:var(--bad)}}.rbk .plain{{color:var(--plain)}}
.rbk .gone{{color:var(--gone)}}.rbk .lost{{color:var(--lost)}}.rbk .soft{{color:var(--soft);font-size:.9em}}
.rbk h4.name{{font:600 .9em/1.5 inherit;font-size:.9em;color:var(--soft);margin:0 0 .1em}}
.rbk .say{{font-size:1.14em;font-weight:600;line-height:1.4;margin:.1em 0 .4em}}
.rbk .tag{{display:inline-block;font-size:.82em;font-weight:700;letter-spacing:.03em;text-transform:uppercase;line-height:1.5;
padding:0 .6em;border-radius:.9em;border:1px solid currentColor;margin-right:.6em;white-space:nowrap}}
.rbk p{{margin:.25em 0}}.rbk ul{{margin:.25em 0;padding-left:1.2em}}.rbk li{{margin:.1em 0}}
.rbk .box{{overflow-x:auto;margin:.4em 0}}.rbk .box table{{border-collapse:collapse;font-size:.92em;margin:0;table-layout:auto}}
.rbk .box th,.rbk .box td{{padding:.2em 1em .2em 0;text-align:left;vertical-align:top;border:0;border-bottom:1px solid #8883;
max-width:44em;background:none;white-space:normal}}.rbk .box tr{{background:none}}.rbk .box td p{{margin:0}}
.rbk .box th{{font-weight:600;white-space:nowrap}}.rbk .box td.long{{min-width:22em}}.rbk .box tr.gone td{{color:inherit}}
.rbk .box .num{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}}
.rbk .box .brief{{white-space:nowrap;font-variant-numeric:tabular-nums}}
.rbk .box caption{{text-align:left;font-weight:600;padding:.3em 0 .1em;caption-side:top;color:inherit}}
.rbk pre.code{{font:12.5px/1.45 ui-monospace,Menlo,Consolas,monospace;background:#8881;padding:.45em .7em;border-radius:4px;
overflow-x:auto;margin:.35em 0;white-space:pre-wrap;word-break:break-word;color:inherit;border:0}}
.rbk pre .add{{color:var(--good)}}.rbk pre .del{{color:var(--bad)}}
.rbk details{{margin:.3em 0}}.rbk summary{{cursor:pointer;color:var(--plain)}}.rbk td details{{margin:0}}
.rbk td.long summary{{color:inherit}}
.rbk dl.facts{{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1em;margin:.4em 0}}
.rbk dl.facts>dt{{font-weight:600;float:none;width:auto;overflow:visible;white-space:nowrap}}
.rbk dl.facts>dd{{margin:0;padding:0;float:none;width:auto;min-width:0}}
"""
