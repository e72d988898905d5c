// The one form of a header's value that every data plane passes on as it is. Pure.
/** RFC 9110 §5.5 without obs-text: some data planes drop a header with anything else, silently. */
export const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
