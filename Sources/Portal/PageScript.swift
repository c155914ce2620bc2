/// The script of the page. It changes texts by their keys, and shows beside the picture what links and forms lead to.
///
/// HTML comes from the page's own server alone, which escapes all foreign text; the content policy lets no other script run.
enum PageScript {
    static let text = #"""
        "use strict";
        (() => {
          const MOST_EVENTS = 500, MOST_TRACES = 100;
          const id = (name) => document.getElementById(name);
          const body = document.body, details = id("details"), happened = id("happened"), traces = id("traces");
          const calm = matchMedia("(prefers-reduced-motion: reduce)");

          // Live texts, states and labels, by their keys.
          let live = new Map();
          const index = () => {
            live = new Map();
            const put = (attribute, set) => {
              for (const element of document.querySelectorAll(`[data-${attribute}]`)) {
                const key = element.dataset[attribute];
                if (!live.has(key)) live.set(key, []);
                live.get(key).push((value) => set(element, value));
              }
            };
            put("c", (element, value) => { if (element.textContent !== value) element.textContent = value; });
            put("s", (element, value) => { if (element.dataset.state !== value) element.dataset.state = value; });
            put("l", (element, value) => { if (element.ariaLabel !== value) element.ariaLabel = value; });
          };
          const take = (values) => {
            for (const key in values) for (const set of live.get(key) || []) set(values[key]);
          };
          // Puts HTML in the place of a part's, and the focus back to where it was.
          const replace = (part, html) => {
            const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
            part.innerHTML = html;
            if (focused) (id(focused) || part).focus();
          };

          const happen = (lines) => {
            for (const line of lines) {
              const item = document.createElement("li");
              item.textContent = line;
              happened.prepend(item);
            }
            while (happened.childElementCount > MOST_EVENTS) happened.lastElementChild.remove();
          };

          const source = new EventSource(`/live?build=${body.dataset.build}&after=${body.dataset.last}`);
          source.addEventListener("values", (event) => take(JSON.parse(event.data)));
          source.addEventListener("parts", (event) => {
            const parts = JSON.parse(event.data);
            body.dataset.build = parts.build;
            for (const name of ["picture", "lists"]) if (name in parts) replace(id(name), parts[name]);
            index();
          });
          source.addEventListener("happened", (event) => happen(JSON.parse(event.data)));
          source.onerror = () => take({ "state.word": "down", "state.text": "The page's server does not answer. This page tries again." });

          // Details beside the picture.
          let shown = null, from = null, timer = 0;
          const fetchDetails = async (first) => {
            const path = shown;
            let text;
            try {
              const answer = await fetch(path + (path.includes("?") ? "&" : "?") + "part=1");
              text = await answer.text();
              if (!answer.ok) text = new DOMParser().parseFromString(text, "text/html").querySelector("main").innerHTML;
            } catch { return; }
            if (shown !== path) return;
            const fresh = document.createElement("div");
            fresh.innerHTML = text;
            if (first) {
              details.replaceChildren(...fresh.childNodes);
              const close = document.createElement("button");
              close.type = "button"; close.className = "close"; close.textContent = "Close";
              close.addEventListener("click", hide);
              details.prepend(close);
              details.hidden = false;
              details.focus();
              details.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
            } else {
              // Forms keep what was typed into them.
              const old = details.querySelectorAll("figure, .table, pre.log"), now = fresh.querySelectorAll("figure, .table, pre.log");
              if (old.length !== now.length) return;
              old.forEach((element, place) => {
                if (element.contains(document.activeElement) || element.innerHTML === now[place].innerHTML) return;
                const end = element.scrollTop + element.clientHeight >= element.scrollHeight - 4, top = element.scrollTop;
                element.innerHTML = now[place].innerHTML;
                element.scrollTop = end ? element.scrollHeight : top;
              });
            }
          };
          const hide = () => {
            shown = null;
            clearInterval(timer);
            details.hidden = true;
            details.replaceChildren();
            const back = from && id(from);
            if (back) back.focus();
          };
          const show = (link) => {
            shown = link.getAttribute("href");
            from = link.id;
            fetchDetails(true);
            clearInterval(timer);
            timer = setInterval(() => { if (shown && !document.hidden) fetchDetails(false); }, 3000);
          };
          id("picture").addEventListener("click", (event) => {
            const link = event.target.closest("a.arrow, a.box");
            if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            show(link);
          });
          document.addEventListener("keydown", (event) => { if (event.key === "Escape" && shown) hide(); });

          // Traces, hop by hop.
          const form = id("trace-form"), stop = id("trace-stop");
          let tracing = null, drawing = Promise.resolve();
          const wait = (time) => new Promise((done) => setTimeout(done, time));
          const clear = () => {
            for (const arrow of document.querySelectorAll(".arrow.hot")) arrow.classList.remove("hot");
            const trail = id("trail");
            if (trail) trail.replaceChildren();
          };
          const badge = (arrow, number) => {
            const line = arrow.querySelector(".line"), trail = id("trail");
            if (!trail) return;
            const point = line.getPointAtLength(line.getTotalLength() / 2);
            const make = (name, values) => {
              const element = document.createElementNS("http://www.w3.org/2000/svg", name);
              for (const key in values) element.setAttribute(key, values[key]);
              trail.append(element);
              return element;
            };
            make("circle", { cx: point.x, cy: point.y, r: 8 });
            make("text", { x: point.x, y: point.y + 3.5 }).textContent = number;
          };
          const draw = async (trace) => {
            clear();
            let number = 0;
            for (const hop of trace.hops) {
              number += 1;
              for (const place of hop.arrows) {
                const arrow = id(`arrow-${place}`);
                if (!arrow) continue;
                arrow.classList.add("hot");
                badge(arrow, number);
              }
              if (!calm.matches) await wait(350);
            }
            await wait(calm.matches ? 100 : 700);
          };
          const tell = (text) => {
            const line = document.createElement("p");
            line.textContent = text;
            traces.append(line);
          };
          const list = (trace) => {
            tell(trace.title);
            const hops = document.createElement("ol");
            for (const hop of trace.hops) {
              const item = document.createElement("li");
              item.textContent = hop.text;
              hops.append(item);
            }
            traces.append(hops);
            tell(trace.end);
            while (traces.childElementCount > 3 * MOST_TRACES) traces.firstElementChild.remove();
            traces.scrollTop = traces.scrollHeight;
          };
          form.addEventListener("submit", async (event) => {
            event.preventDefault();
            if (tracing) tracing.abort();
            const own = tracing = new AbortController();
            const fields = new URLSearchParams(new FormData(form));
            fields.set("as", "events");
            traces.replaceChildren();
            clear();
            tell("Following packets…");
            stop.hidden = false;
            try {
              const answer = await fetch("/trace", { method: "POST", body: fields, signal: own.signal });
              if (!answer.ok) {
                const page = new DOMParser().parseFromString(await answer.text(), "text/html");
                for (const line of page.querySelectorAll("main [role=alert], main p:last-child")) tell(line.textContent);
                return;
              }
              const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
              let text = "";
              for (;;) {
                const { value, done } = await reader.read();
                if (done) break;
                text += value;
                let end;
                while ((end = text.indexOf("\n\n")) >= 0) {
                  const [kind, data] = text.slice(0, end).split("\ndata: ");
                  text = text.slice(end + 2);
                  const content = JSON.parse(data);
                  if (kind === "event: trace") {
                    list(content);
                    drawing = drawing.then(() => own.signal.aborted ? null : draw(content));
                  } else tell(content[0]);
                }
              }
            } catch (error) {
              tell(own.signal.aborted ? "Stopped." : "The connection was lost.");
            } finally {
              if (tracing === own) { tracing = null; stop.hidden = true; }
            }
          });
          stop.addEventListener("click", () => { if (tracing) tracing.abort(); form.querySelector("button").focus(); });

          index();
        })();
        """#
}
