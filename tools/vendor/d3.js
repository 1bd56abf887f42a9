// What of d3 the page draws with: the rest is not bundled.
export { hierarchy, treemap, treemapSquarify } from "d3-hierarchy";
export { scaleLinear, scaleLog, scaleUtc } from "d3-scale";
export { stack } from "d3-shape";
