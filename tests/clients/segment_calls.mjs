// What a person does, in the calls that the node libraries of Segment and RudderStack share.

export const segmentCalls = (call) => ({ anonymous, user, email, order, value }) => {
  call("page", { anonymousId: anonymous, name: "Home", properties: { path: "/" } });
  call("track", { anonymousId: anonymous, event: "Product Viewed", properties: { name: "Tea", price: 3.5 } });
  call("identify", { anonymousId: anonymous, userId: user, traits: { email, plan: "team" } });
  call("alias", { userId: user, previousId: anonymous });
  call("group", { userId: user, groupId: "g1", traits: { size: 3 } });
  call("track", { userId: user, event: "Order Completed", properties: { order_id: order, revenue: value, currency: "EUR" } });
};
