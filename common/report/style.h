// The look of the reports.
#pragma once

namespace kindred {

inline constexpr const char* kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1d2430; --soft: #647084; --rule: #dfe3ea; --grid: #e9ecf1;
  --good: #1f9d61; --bad: #d33f49;
  --s0: #2f6fed; --s1: #e07b1a; --s2: #8a5bd6; --s3: #12909c; --s4: #c2438b; --s5: #6b7a1c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12151b; --card: #1a1f28; --ink: #e8ebf1; --soft: #94a0b3; --rule: #2d3542; --grid: #262d39;
    --good: #3ecf8e; --bad: #ff6b6b;
    --s0: #6ea0ff; --s1: #ffa94d; --s2: #b694ff; --s3: #4fd1d9; --s4: #f783c0; --s5: #b5c653;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 36px 20px 60px; }
h1 { font-size: 27px; margin: 0 0 4px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; }
p { margin: 0 0 12px; }
.soft, footer { color: var(--soft); }
footer { margin-top: 44px; font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 14px; margin-top: 24px; }
.card, .panel { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; }
.card { padding: 14px 18px; }
.card b { display: block; font-size: 28px; font-weight: 650; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: 14px; }
.panel { padding: 14px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
thead th { font-weight: 600; }
td.best { font-weight: 650; color: var(--good); }
svg { display: block; width: 100%; height: auto; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--soft); } svg .mark { stroke: var(--soft); stroke-dasharray: 4 4; }
svg .label { fill: var(--soft); font-size: 11.5px; } svg .title { fill: var(--ink); font-size: 14px; font-weight: 600; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .area { stroke: none; opacity: 0.18; }
svg .line.s0 { stroke: var(--s0); } svg .line.s1 { stroke: var(--s1); } svg .line.s2 { stroke: var(--s2); }
svg .line.s3 { stroke: var(--s3); } svg .line.s4 { stroke: var(--s4); } svg .line.s5 { stroke: var(--s5); }
svg .area.s0, svg .dot.s0 { fill: var(--s0); } svg .area.s1, svg .dot.s1 { fill: var(--s1); }
svg .dot.s2 { fill: var(--s2); } svg .dot.s3 { fill: var(--s3); } svg .dot.s4 { fill: var(--s4); } svg .dot.s5 { fill: var(--s5); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 6px 4px 0; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; vertical-align: -1px; }
.legend .s0 { background: var(--s0); } .legend .s1 { background: var(--s1); } .legend .s2 { background: var(--s2); }
.legend .s3 { background: var(--s3); } .legend .s4 { background: var(--s4); } .legend .s5 { background: var(--s5); }
.row { display: flex; gap: 10px; align-items: flex-start; padding: 10px 0; border-bottom: 1px solid var(--rule); }
.row:last-child { border-bottom: 0; }
figure { margin: 0; width: 104px; flex: none; font-size: 12px; }
figure img { display: block; width: 104px; height: 104px; border-radius: 8px; border: 3px solid var(--rule); background: #fff; }
figure.right img { border-color: var(--good); } figure.wrong img { border-color: var(--bad); }
figure.query { margin-right: 18px; }
figcaption { color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
figure.wrong figcaption { color: var(--bad); }
)css";

}  // namespace kindred
