// Arrows that move an input or output up and down, and no empty one until it is asked for; without this script
// the numbers can be typed, and one empty form is there.
"use strict";
(function () {
    function rows(group) {
        return Array.from(group.querySelectorAll(".inline-related:not(.empty-form)"));
    }
    // Rows that hold something get their place; one without an id yet gets it with the rest when the form is sent.
    function number(group) {
        rows(group).forEach(function (row, place) {
            const input = row.querySelector("input[name$='-position']");
            if (input && !empty(row)) {
                input.value = place;
            }
        });
    }
    function arrange(group, wanted) {
        const end = document.createComment("");
        const all = rows(group);
        if (all.length) {
            all[all.length - 1].after(end);
            wanted.forEach(function (row) { end.before(row); });
            end.remove();
        }
    }
    function sorted(group, key) {
        return rows(group).sort(function (one, other) { return key(one) - key(other); });
    }
    function position(row) {
        const input = row.querySelector("input[name$='-position']");
        return input && input.value !== "" ? Number(input.value) : 1e9;
    }
    function index(row) {
        return Number(row.id.match(/[0-9]*$/)[0]);
    }
    function move(group, row, by) {
        const all = rows(group);
        const other = all[all.indexOf(row) + by];
        if (!other) {
            return;
        }
        if (by < 0) {
            other.before(row);
        } else {
            other.after(row);
        }
        number(group);
    }
    function arrows(group, row) {
        const heading = row.querySelector("h3, h4");
        if (!heading || heading.querySelector(".hub-arrow")) {
            return;
        }
        [["↑", -1, group.dataset.up], ["↓", 1, group.dataset.down]].forEach(function (each) {
            const button = document.createElement("button");
            button.type = "button";
            button.className = "hub-arrow";
            button.textContent = each[0];
            button.setAttribute("aria-label", each[2]);
            button.title = each[2];
            button.addEventListener("click", function () {
                move(group, row, each[1]);
                button.focus();
            });
            heading.append(" ", button);
        });
    }
    function empty(row) {
        const typed = Array.from(row.querySelectorAll("input:not([type=hidden]), textarea")).some(function (field) {
            if (field.name.endsWith("-position")) {
                return false;
            }
            return field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
        });
        const id = row.querySelector("input[name$='-identifier']");
        return !typed && id && !id.value && !row.querySelector(".errorlist");
    }
    // The stock script makes the link that takes a new row away again, and counts the rows.
    function withoutEmpty(group) {
        rows(group).filter(empty).forEach(function (row) {
            const away = row.querySelector("a.inline-deletelink");
            if (away) {
                away.click();
            }
        });
    }
    document.addEventListener("DOMContentLoaded", function () {
        const words = document.getElementById("hub-order-words");
        document.querySelectorAll(".inline-group").forEach(function (group) {
            if (!group.querySelector("input[name$='-position']")) {
                return;
            }
            group.classList.add("hub-arrows");
            group.dataset.up = words ? words.dataset.up : "up";
            group.dataset.down = words ? words.dataset.down : "down";
            rows(group).forEach(function (row) { arrows(group, row); });
            // A form that comes back with errors has its rows in the order in which they were made.
            arrange(group, sorted(group, position));
            group.closest("form").addEventListener("submit", function () { number(group); });
            // The stock script numbers the forms anew by their place on the page, and needs the saved ones first.
            group.addEventListener("click", function (event) {
                if (event.target.closest("a.inline-deletelink")) {
                    const shown = rows(group);
                    arrange(group, sorted(group, index));
                    setTimeout(function () {
                        arrange(group, shown.filter(function (row) { return row.isConnected; }));
                    });
                }
            }, true);
        });
        if (words && words.dataset.saved) {
            window.django.jQuery(function () {
                document.querySelectorAll(".hub-arrows").forEach(withoutEmpty);
            });
        }
        document.addEventListener("formset:added", function (event) {
            const group = event.target.closest(".inline-group");
            if (group && group.dataset.up) {
                arrows(group, event.target);
            }
        });
    });
}());
