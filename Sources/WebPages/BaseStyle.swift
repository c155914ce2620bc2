/// What the style sheets of all pages begin with: both palettes, and nothing from outside.
package enum BaseStyle {
    package static let text = #"""
        :root {
          color-scheme: light dark;
          --ground: #ffffff; --raised: #f3f6f9; --ink: #17212b; --soft: #4a5866; --line: #c4ced8; --edge: #566676;
          --link: #00559a; --focus: #b35900; --up: #0b6b3a; --warn: #8a5a00; --down: #b3202c; --idle: #5b6873;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --ground: #11161c; --raised: #1a222b; --ink: #e6edf3; --soft: #a9b6c3; --line: #384553; --edge: #8797a7;
            --link: #7cc0ff; --focus: #ffb454; --up: #5fd394; --warn: #f0b849; --down: #ff8088; --idle: #a9b6c3;
          }
        }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
        a { color: var(--link); }
        :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
        .skip { position: absolute; left: -100vw; }
        .skip:focus { left: 1rem; top: .5rem; background: var(--ground); padding: .3rem .6rem; z-index: 2; }
        header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4rem 1.4rem; padding: .8rem 1.2rem;
          background: var(--raised); border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0 0 .4rem; } h3 { font-size: 1rem; margin: 0 0 .3rem; }
        [data-state="up"] { --state: var(--up); } [data-state="warn"] { --state: var(--warn); }
        [data-state="down"] { --state: var(--down); } [data-state="idle"] { --state: var(--idle); }
        main { padding: 1rem 1.2rem; display: grid; gap: 1.6rem; grid-template-columns: minmax(0, 1fr); }
        .hint { color: var(--soft); margin: 0 0 .5rem; }
        .scroll { overflow: auto; max-width: 100%; }
        table { border-collapse: collapse; font-size: 14px; }
        th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
        thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
        td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
        label { color: var(--soft); font-size: 13px; }
        input, select, textarea, button { font: inherit; font-size: 14px; padding: .35rem .5rem; color: var(--ink);
          background: var(--ground); border: 1px solid var(--edge); border-radius: 4px; max-width: 16rem; }
        button { background: var(--link); color: var(--ground); border-color: var(--link); cursor: pointer; padding: .35rem .9rem; }
        footer { padding: .8rem 1.2rem; color: var(--soft); }
        [role="alert"] { color: var(--down); font-weight: 600; }

        """#
}
