/// The script of the customers' page. Without it all works, too: it refreshes numbers, writes the names of applications for you,
/// and leads to what is wrong.
enum TenantPageScript {
    static let text = #"""
        'use strict';
        (() => {
          const pause = 2000;
          const live = (root) => new Map([...root.querySelectorAll('[data-live]')].map((at) => [at.dataset.live, at]));

          async function refresh() {
            if (document.hidden || live(document).size === 0) return;
            const answer = await fetch(location.href, {
              headers: {'Tapline-Refresh': '1', Accept: 'text/html'}, cache: 'no-store', credentials: 'same-origin'});
            // The session has ended: the page would show numbers that are no longer this visitor's.
            if (answer.redirected) { location.assign('/login'); return; }
            if (!answer.ok) return;
            const fresh = live(new DOMParser().parseFromString(await answer.text(), 'text/html'));
            for (const [key, at] of live(document)) {
              const now = fresh.get(key);
              if (!now) continue;
              if (at.textContent !== now.textContent) at.textContent = now.textContent;
              if (now.dataset.state && at.dataset.state !== now.dataset.state) at.dataset.state = now.dataset.state;
            }
          }
          function again() { refresh().catch(() => {}).finally(() => setTimeout(again, pause)); }
          setTimeout(again, pause);

          // Buttons that add a name to a list, or take it away.
          for (const field of document.querySelectorAll('input[data-names]')) {
            const names = field.dataset.names.split(' ').filter(Boolean);
            if (names.length === 0) continue;
            const row = document.createElement('p');
            row.className = 'names';
            const listed = () => field.value.split(/[\s,]+/).filter(Boolean);
            const buttons = names.map((name) => {
              const button = document.createElement('button');
              button.type = 'button';
              button.className = 'plain';
              button.addEventListener('click', () => {
                const now = listed();
                field.value = (now.includes(name) ? now.filter((one) => one !== name) : [...now, name]).join(', ');
                show();
              });
              row.append(button);
              return [name, button];
            });
            const show = () => {
              const now = listed();
              for (const [name, button] of buttons) {
                const place = now.indexOf(name);
                button.textContent = place < 0 ? '+ ' + name : (place + 1) + ' ' + name;
                button.setAttribute('aria-pressed', place < 0 ? 'false' : 'true');
              }
            };
            field.addEventListener('input', show);
            show();
            field.after(row);
          }

          // Where something is wrong, or was tried, that comes first.
          const first = document.querySelector('#problem, #trial');
          if (first) { first.tabIndex = -1; first.focus(); }
          // A form is sent once, however often its button is pressed.
          for (const form of document.forms) {
            let sent = false;
            form.addEventListener('submit', (event) => { if (sent) event.preventDefault(); sent = true; });
          }
          addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
        })();

        """#
}
