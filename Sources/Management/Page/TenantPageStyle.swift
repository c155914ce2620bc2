import WebPages

/// The style sheet of the customers' page. It is made for a phone of 360 pixels first.
enum TenantPageStyle {
    static let text = BaseStyle.text + own

    private static let own = #"""
        body { overflow-wrap: anywhere; }
        header { align-items: center; padding: .6rem 1rem; gap: .4rem 1.2rem; }
        header .who { margin: 0; } header nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; flex: 1 1 auto; }
        nav a { padding: .4rem 0; } nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
        main { padding: 1rem; gap: 1.2rem; max-width: 64rem; margin: 0 auto; } main:focus { outline: none; }
        main.narrow { max-width: 32rem; }
        main p { margin: 0; } footer { text-align: center; }
        .cards { list-style: none; margin: 0; padding: 0; display: grid; gap: .8rem;
          grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
        .cards.history, .cards.rules { grid-template-columns: minmax(0, 1fr); }
        .card { border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; background: var(--raised);
          display: grid; gap: .3rem; align-content: start; min-width: 0; }
        .card h2 { margin: 0; } .card .hint { font-size: 13px; }
        .state { color: var(--state); font-weight: 600; } .state::before { content: "● "; }
        .numbers { font-variant-numeric: tabular-nums; }
        section { display: grid; gap: .6rem; } section ol, section ul { margin: 0; padding-left: 1.4rem; }
        section .cards { padding: 0; }
        thead th.number { text-align: right; } table { width: 100%; max-width: 44rem; } tbody th { font-weight: 400; } th, td { padding: .25rem .5rem; }
        dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem; margin: 0; }
        dt { color: var(--soft); } dd { margin: 0; }
        .fields { display: grid; gap: 1rem; max-width: 34rem; }
        .field { display: grid; gap: .25rem; min-width: 0; } .field label { color: var(--ink); font-size: 15px; font-weight: 600; }
        .field .hint { margin: 0; font-size: 14px; }
        input, select, textarea { width: 100%; max-width: none; min-height: 2.5rem; font-size: 16px; }
        button { min-height: 2.5rem; font-size: 15px; max-width: 100%; overflow-wrap: anywhere; }
        button.plain { background: var(--ground); color: var(--link); }
        button.danger { background: var(--down); border-color: var(--down); }
        .buttons { display: flex; flex-wrap: wrap; gap: .6rem; }
        .names { display: flex; flex-wrap: wrap; gap: .4rem; } .names button { min-height: 2.2rem; padding: .2rem .6rem; }
        [aria-invalid="true"] { border: 2px solid var(--down); }
        .mistakes { margin: 0; padding-left: 1.2rem; color: var(--down); font-weight: 600; }
        .problem, .notice { border: 2px solid var(--down); border-radius: 6px; padding: .7rem .9rem; }
        .problem { color: var(--ink); font-weight: 400; } .problem h2 { color: var(--down); } .problem a { color: var(--down); }
        .notice { border-color: var(--up); } .problem ul, .notice ul { margin: 0; padding-left: 1.2rem; }
        pre { white-space: pre-wrap; margin: .3rem 0; padding: .5rem; border: 1px solid var(--line); background: var(--ground);
          font: 13px/1.5 ui-monospace, monospace; }
        code { font: 13px ui-monospace, monospace; }
        summary { cursor: pointer; padding: .3rem 0; color: var(--link); } details form { display: grid; gap: .6rem; }
        @media (forced-colors: active) { .card, .problem, .notice { border-color: CanvasText; } }

        """#
}
