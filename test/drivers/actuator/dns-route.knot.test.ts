/** The route contract on Knot; see dns-route.contract.ts. */
import { routeContract } from "./dns-route.contract.js";

routeContract("knot");
