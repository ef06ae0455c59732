/**
 * Which route is in charge of which name. Names and zones as the configuration has them: lower case, no trailing dot.
 */
import type { RouteConfig } from "../../core/model/config.js";

/** True when `name` is the zone's apex or below it. */
export function isInside(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

/** The routes in charge of a name: those of the most specific zone. Several when they have the same zone. */
export function routesOf(name: string, routes: readonly RouteConfig[]): RouteConfig[] {
  const holding = routes.filter((route) => isInside(name, route.zone));
  const longest = Math.max(0, ...holding.map((route) => route.zone.length));
  return holding.filter((route) => route.zone.length === longest);
}
