import WebPages

/// The style sheet of the live page.
enum PageStyle {
    static let text = BaseStyle.text + own

    private static let own = #"""
        :root {
          --box: #f4f8fc; --customer: #fff8e6; --hot: #d9006c;
          --s0: #0060a8; --s1: #b04a00; --s2: #007050; --s3: #a0408c; --s4: #776000; --s5: #3048c0; --s6: #b02030; --s7: #406070;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --box: #1b2733; --customer: #2b2718; --hot: #ff70b8;
            --s0: #6db8ff; --s1: #ff9d5c; --s2: #58d0a8; --s3: #e694d6; --s4: #d9c060; --s5: #9fb0ff; --s6: #ff8a94; --s7: #a5c2d2;
          }
        }
        header p { margin: 0; flex: 1 1 20rem; } nav a { margin-right: .8rem; }
        #state::before { content: "● "; }
        #state { color: var(--state); }
        #picture { max-height: 75vh; border: 1px solid var(--line); border-radius: 6px; }
        #picture:empty::before { content: "There is no picture yet."; display: block; padding: 1rem; color: var(--soft); }
        #events .scroll { max-height: 16rem; border: 1px solid var(--line); border-radius: 6px; }
        #happened { margin: 0; padding: .5rem .8rem; list-style: none; font: 13px/1.5 ui-monospace, monospace; }
        #happened:empty::before { content: "Nothing has happened yet."; color: var(--soft); }
        .table { margin-bottom: 1.3rem; content-visibility: auto; contain-intrinsic-size: auto 20rem; } .table p { color: var(--soft); margin: 0; }
        form { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; margin: .4rem 0; }
        form h3, form .hint { flex-basis: 100%; margin: 0; }
        label { display: grid; gap: .15rem; }
        input[type="number"] { width: 6.5rem; }
        #details { border: 2px solid var(--edge); border-radius: 6px; padding: .8rem 1rem; background: var(--raised); }
        #details .close { float: right; }
        pre.log, #traces { font: 13px/1.5 ui-monospace, monospace; margin: 0; max-height: 18rem; overflow: auto; white-space: pre-wrap;
          overflow-wrap: anywhere; }
        pre.log { border: 1px solid var(--line); padding: .5rem; background: var(--ground); }
        #traces ol { margin: 0 0 .6rem; padding-left: 1.6rem; } #traces p { margin: .2rem 0; } #traces:empty { display: none; }
        figure { margin: 0 0 .6rem; } figcaption { color: var(--soft); font-size: 13px; }
        .spark { width: 100%; max-width: 900px; height: 80px; background: var(--ground); border: 1px solid var(--line); }
        .spark path { stroke: var(--line); fill: none; }
        .spark polyline { fill: none; stroke: var(--s0); stroke-width: 1.5; vector-effect: non-scaling-stroke; }

        #picture svg { display: block; font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; }
        svg text { text-anchor: middle; fill: var(--ink); font-size: 11px; }
        svg .name { font-size: 14px; font-weight: bold; } svg .detail { fill: var(--soft); }
        .bar { fill: var(--line); stroke: var(--edge); }
        .cable { stroke: var(--line); stroke-opacity: .35; fill: none; }
        .s0 { --s: var(--s0); } .s1 { --s: var(--s1); } .s2 { --s: var(--s2); } .s3 { --s: var(--s3); }
        .s4 { --s: var(--s4); } .s5 { --s: var(--s5); } .s6 { --s: var(--s6); } .s7 { --s: var(--s7); }
        .tip path { fill: var(--s); }
        .arrow { cursor: pointer; text-decoration: none; }
        .arrow .hit { fill: none; visibility: hidden; pointer-events: stroke; stroke-width: 11; }
        .arrow .line { fill: none; stroke: var(--s); stroke-width: 1.6; stroke-opacity: .55; }
        .arrow.copy .line { stroke-width: 1; }
        .arrow.response .line { stroke-dasharray: 7 4; } .arrow.response .long { stroke-dasharray: none; }
        .arrow[data-state="busy"] .line { stroke-opacity: 1; stroke-width: 2.4; }
        .arrow.copy[data-state="busy"] .line { stroke-width: 1.4; }
        .arrow:hover .line, .arrow:focus .line { stroke-opacity: 1; stroke-width: 3.5; }
        .arrow:focus, .box:focus { outline: none; }
        .arrow:focus-visible .hit { visibility: visible; stroke: var(--focus); stroke-opacity: .45; }
        .rate { fill: var(--s); font-weight: bold; }
        .box { cursor: pointer; text-decoration: none; }
        .box rect { fill: var(--box); stroke: var(--state, var(--edge)); stroke-width: 1.6; }
        .box.customer rect { fill: var(--customer); }
        .box:hover rect { stroke-width: 3; } .box:focus-visible rect { stroke: var(--focus); stroke-width: 4; }
        .box .health { fill: var(--state); font-weight: bold; }
        .arrow.hot .line { stroke: var(--hot); stroke-opacity: 1; stroke-width: 4; }
        #trail circle { fill: var(--hot); } #trail text { fill: var(--ground); font-weight: bold; font-size: 10px; }
        @media (forced-colors: active) { .arrow .line { stroke: CanvasText; } .box rect { stroke: CanvasText; } }
        """#
}
