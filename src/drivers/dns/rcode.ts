/**
 * Every answer code of DNS as a stable code, a meaning and a remedy.
 *
 * Who reads this was woken by it: so each line says what the server meant and which knob to turn, on which machine.
 * Numbers up to 15 are the RCODE of the header (RFC 1035, RFC 2136 section 2.2), the larger ones come in OPT
 * (RFC 6891) or in the error field of TSIG (RFC 8945 section 5.2). 16 is BADVERS in OPT and BADSIG in TSIG.
 */

/** Stable codes of answers that are not NOERROR. */
export type RcodeCode =
  | "dns_formerr"
  | "dns_servfail"
  | "dns_nxdomain"
  | "dns_notimp"
  | "dns_refused"
  | "dns_yxdomain"
  | "dns_yxrrset"
  | "dns_nxrrset"
  | "dns_notauth"
  | "dns_notzone"
  | "dns_badsig"
  | "dns_badkey"
  | "dns_badtime"
  | "dns_badmode"
  | "dns_badtrunc"
  | "dns_badvers"
  | "dns_rcode";

/** One answer code, explained. */
export interface RcodeInfo {
  /** The mnemonic of the RFCs, e.g. "REFUSED". */
  readonly mnemonic: string;
  readonly code: RcodeCode;
  /** What the server said, as the end of "the server answered X: ...". */
  readonly meaning: string;
  /** What to do about it. */
  readonly remedy: string;
  /** True when the same request may succeed later although nobody changed anything. */
  readonly retriable: boolean;
}

/** Header RCODEs by number. */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  YXDOMAIN: 6,
  YXRRSET: 7,
  NXRRSET: 8,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
} as const;

/** TSIG error numbers (RFC 8945 section 3). */
export const TSIG_ERROR = { BADSIG: 16, BADKEY: 17, BADTIME: 18, BADMODE: 19, BADTRUNC: 22 } as const;

const HEADER: Readonly<Record<number, RcodeInfo>> = {
  1: {
    mnemonic: "FORMERR",
    code: "dns_formerr",
    meaning: "it could not read the request",
    remedy:
      "check that the address is a DNS server and no middlebox rewrites DNS on the way; if so, report a bug",
    retriable: false,
  },
  2: {
    mnemonic: "SERVFAIL",
    code: "dns_servfail",
    meaning: "it failed inside (journal or zone file not writable, zone not loaded, disk full)",
    remedy: "read the name server's own log; the request is tried again",
    retriable: true,
  },
  3: {
    mnemonic: "NXDOMAIN",
    code: "dns_nxdomain",
    meaning: "a name that must exist does not",
    remedy: "somebody else changed the zone; the state is read again",
    retriable: true,
  },
  4: {
    mnemonic: "NOTIMP",
    code: "dns_notimp",
    meaning: "it does not know dynamic update (RFC 2136)",
    remedy:
      "name the primary server that accepts updates, or turn updates on there (PowerDNS: dnsupdate=yes)",
    retriable: false,
  },
  5: {
    mnemonic: "REFUSED",
    code: "dns_refused",
    meaning: "its policy does not allow this request",
    remedy:
      "allow the key to change A, AAAA, CNAME and TXT below the name and its _pointsman record " +
      "(BIND: update-policy or allow-update; Knot: acl with action update; PowerDNS: TSIG-ALLOW-DNSUPDATE)",
    retriable: false,
  },
  6: {
    mnemonic: "YXDOMAIN",
    code: "dns_yxdomain",
    meaning: "a name that must not exist does",
    remedy: "somebody else changed the zone; the state is read again",
    retriable: true,
  },
  7: {
    mnemonic: "YXRRSET",
    code: "dns_yxrrset",
    meaning: "a record set that must not exist does",
    remedy: "somebody else changed the zone; the state is read again",
    retriable: true,
  },
  8: {
    mnemonic: "NXRRSET",
    code: "dns_nxrrset",
    meaning: "a record set is not what it was when it was read",
    remedy: "somebody else changed the zone, or a newer epoch did; the state is read again",
    retriable: true,
  },
  9: {
    mnemonic: "NOTAUTH",
    code: "dns_notauth",
    meaning: "it is not the primary of the zone, or it does not let this key (or no key) change it",
    remedy: "check that the zone is a primary zone on this server, and that its access rules name the key",
    retriable: false,
  },
  10: {
    mnemonic: "NOTZONE",
    code: "dns_notzone",
    meaning: "a record of the request lies outside the zone",
    remedy: "correct the zone or the record names in the group's DNS settings",
    retriable: false,
  },
  16: {
    mnemonic: "BADVERS",
    code: "dns_badvers",
    meaning: "it does not speak this version of EDNS",
    remedy: "check that the address is a current DNS server",
    retriable: false,
  },
};

const TSIG: Readonly<Record<number, RcodeInfo>> = {
  16: {
    mnemonic: "BADSIG",
    code: "dns_badsig",
    meaning: "the signature is wrong: same key name there and here, different secret or algorithm",
    remedy: "compare the secret and the algorithm of the key on the name server with those of this witness",
    retriable: false,
  },
  17: {
    mnemonic: "BADKEY",
    code: "dns_badkey",
    meaning:
      "it knows no key of this name with this algorithm, or (Knot) no access rule of the zone names it",
    remedy:
      "add the key and its right to update the zone on the name server and reload it, or correct the key's name and " +
      "algorithm here",
    retriable: false,
  },
  18: {
    mnemonic: "BADTIME",
    code: "dns_badtime",
    meaning: "the clocks of this witness and of the name server differ by more than is allowed",
    remedy: "correct the wrong clock (chronyc makestep, timedatectl); then the request works as it is",
    retriable: true,
  },
  19: {
    mnemonic: "BADMODE",
    code: "dns_badmode",
    meaning: "it does not accept this use of the key",
    remedy: "check the key's definition on the name server",
    retriable: false,
  },
  22: {
    mnemonic: "BADTRUNC",
    code: "dns_badtrunc",
    meaning: "it asks for another length of signature",
    remedy: "remove the limit on signature length from the key's definition on the name server",
    retriable: false,
  },
};

function unknown(number: number): RcodeInfo {
  return {
    mnemonic: `RCODE${number}`,
    code: "dns_rcode",
    meaning: "an answer code that this program does not know",
    remedy: "look the number up at IANA (DNS RCODEs) and in the name server's log",
    retriable: false,
  };
}

/** Explains a header RCODE (extended by OPT); NOERROR is a caller's mistake and comes out as unknown. */
export function explainRcode(rcode: number): RcodeInfo {
  return HEADER[rcode] ?? unknown(rcode);
}

/** Explains the error field of a TSIG record. */
export function explainTsigError(error: number): RcodeInfo {
  return TSIG[error] ?? unknown(error);
}

/** The mnemonic of a header RCODE, e.g. 0 is "NOERROR". */
export function rcodeName(rcode: number): string {
  return rcode === 0 ? "NOERROR" : explainRcode(rcode).mnemonic;
}
