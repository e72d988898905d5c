// Which policies are in force, as the serves say that read the catalogue: a right lasts no longer than the policy that gave it.
// Types only.

export interface PoliciesInForce {
  /** True for the revision of a policy that a serve has told lately. */
  has(revision: string): boolean;
  /**
   * Calls back each time that policy, or the choice of what servers offer, has become another one.
   * @returns the end of it
   */
  onChange(listener: () => void): () => void;
}
