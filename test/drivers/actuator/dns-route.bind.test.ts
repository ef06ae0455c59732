/** The route contract on BIND 9; see dns-route.contract.ts. */
import { routeContract } from "./dns-route.contract.js";

routeContract("bind");
