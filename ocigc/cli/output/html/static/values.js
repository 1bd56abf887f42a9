"use strict";
// What the page is about. A fate is a sum: 1 goes with a prune, 2 goes with a prune --all.

const data = JSON.parse(document.getElementById("data").textContent);

const images = data.images.map(([name, digest, repository, created, size, alone, states, fate]) => ({
  name: name || "<none>", digest, repository, created, size, alone, states, fate,
  text: `${name} ${digest}`.toLowerCase(),
}));

/** Bytes as the command prints them. */
function humanSize(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${Number(bytes.toPrecision(4))}${units[unit]}`;
}

const count = (number) => number.toLocaleString("en");

const many = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;

/** An instant in seconds as a date. */
function day(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString().slice(0, 10);
}

const fateWords = (fate) =>
  fate & 1 ? "goes with a prune" : fate & 2 ? "goes with a prune --all" : "stays";

const fateClass = (fate) => (fate & 1 ? "goes" : fate & 2 ? "goes-all" : "");

/** An element with text, never markup: names come from whoever pushed an image. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

