// Completes names in expressions while one types: a combobox with a listbox (WAI-ARIA). What it offers is the list
// on the page and the ids typed into the properties; without this script the field is a plain one.
"use strict";
(function () {
    const MOST = 8;
    function ids(prefix) {
        const found = [];
        document.querySelectorAll("input[name^='" + prefix + "-'][name$='-identifier']").forEach(function (input) {
            const away = document.getElementById(input.id.replace("-identifier", "-DELETE"));
            if (input.value.trim() && !input.name.includes("__prefix__") && !(away && away.checked)) {
                found.push(input.value.trim());
            }
        });
        return found;
    }
    function attach(area, told, number) {
        const box = document.createElement("div");
        const list = document.createElement("ul");
        const known = Array.from(told.querySelectorAll("li[data-name]")).map(function (row) {
            return {name: row.dataset.name, call: Boolean(row.dataset.call), words: row.querySelector("span").textContent};
        });
        let options = [], active = -1, open = false, from = 0;
        box.className = "hub-completion";
        list.id = "hub-completion-" + number;
        list.setAttribute("role", "listbox");
        list.setAttribute("aria-label", told.dataset.title);
        list.hidden = true;
        box.append(list);
        area.after(box);
        area.setAttribute("role", "combobox");
        area.setAttribute("aria-autocomplete", "list");
        area.setAttribute("aria-haspopup", "listbox");
        area.setAttribute("aria-controls", list.id);
        area.setAttribute("aria-expanded", "false");
        area.setAttribute("autocomplete", "off");

        // The word before the cursor, and whether it names the output of its line; null inside a text in quotes.
        function word() {
            const before = area.value.slice(0, area.selectionStart);
            const line = before.slice(before.lastIndexOf("\n") + 1);
            const typed = line.match(/[A-Za-z_][A-Za-z0-9_]*$|$/)[0];
            const rest = line.slice(0, line.length - typed.length);
            const quoted = /^(?:[^"']|"[^"]*"|'[^']*')*["'][^"']*$/.test(rest);
            if (quoted || /[0-9.]$/.test(rest) || area.selectionStart !== area.selectionEnd) {
                return null;
            }
            return {typed: typed, at: before.length - typed.length, output: rest.trim() === ""};
        }
        function offered(found) {
            const named = function (words) {
                return function (id) { return {name: id, call: false, words: words}; };
            };
            const all = found.output
                ? ids("properties-2").map(named(told.dataset.output))
                : ids("properties").map(named(told.dataset.input)).concat(known);
            const typed = found.typed.toLowerCase();
            return all.filter(function (each, place) {
                const first = all.findIndex(function (other) { return other.name === each.name; }) === place;
                return first && each.name.toLowerCase().startsWith(typed) && each.name !== found.typed;
            }).slice(0, MOST);
        }
        function close() {
            open = false;
            list.hidden = true;
            list.replaceChildren();
            area.setAttribute("aria-expanded", "false");
            area.removeAttribute("aria-activedescendant");
        }
        function mark(place) {
            active = (place + options.length) % options.length;
            Array.from(list.children).forEach(function (row, each) {
                row.setAttribute("aria-selected", String(each === active));
            });
            area.setAttribute("aria-activedescendant", list.children[active].id);
        }
        function take(option) {
            const after = area.value.slice(area.selectionStart);
            const text = option.name + (option.call && !after.startsWith("(") ? "(" : "");
            area.setRangeText(text, from, area.selectionStart, "end");
            close();
        }
        function show(asked) {
            const found = word();
            options = found && (found.typed || asked) ? offered(found) : [];
            if (!options.length) {
                close();
                return;
            }
            from = found.at;
            list.replaceChildren.apply(list, options.map(function (option, place) {
                const row = document.createElement("li"), name = document.createElement("code");
                row.id = list.id + "-" + place;
                row.setAttribute("role", "option");
                name.textContent = option.name;
                row.append(name, " ", option.words);
                // Not click: the field would lose the focus first, and close the list.
                row.addEventListener("mousedown", function (event) {
                    event.preventDefault();
                    take(option);
                });
                return row;
            }));
            open = true;
            list.hidden = false;
            area.setAttribute("aria-expanded", "true");
            mark(0);
        }
        area.addEventListener("input", function () { show(false); });
        area.addEventListener("blur", close);
        area.addEventListener("click", close);
        area.addEventListener("keydown", function (event) {
            const plain = !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey;
            if (!open) {
                if ((event.altKey && event.key === "ArrowDown") || (event.ctrlKey && event.key === " ")) {
                    event.preventDefault();
                    show(true);
                }
                return;
            }
            if (plain && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
                mark(active + (event.key === "ArrowDown" ? 1 : -1));
            } else if (plain && (event.key === "Enter" || event.key === "Tab")) {
                take(options[active]);
            } else if (event.key === "Escape") {
                close();
            } else {
                if (["ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"].includes(event.key)) {
                    close();
                }
                return;
            }
            event.preventDefault();
        });
    }
    document.querySelectorAll(".hub-expressions").forEach(function (each, number) {
        attach(each.querySelector("textarea"), each.querySelector("ul[data-title]"), number);
    });
}());
