"""How people are described: synonyms in falling order of use, drawn with a Zipf weight of their rank."""

from __future__ import annotations

from . import tail
from .words import entries, table

WHO = table("""
man: man, man, man, guy, gentleman, male, fellow, pedestrian, person, chap, male pedestrian, passerby
woman: woman, woman, woman, lady, female, girl, pedestrian, person, female pedestrian, passerby
boy: boy, boy, kid, child, schoolboy, young boy, little boy, lad, youngster
girl: girl, girl, child, little girl, kid, schoolgirl, young girl, youngster
""")
PRONOUN = {"man": ("he", "his", "him"), "boy": ("he", "his", "him")} | {
    "woman": ("she", "her", "her"),
    "girl": ("she", "her", "her"),
}
AGE = table("""
old: older, old, elderly, senior, aged
young: young, young, adult, youthful, middle-aged
slim: slim, thin, slender, skinny, lean
heavy: heavy, stocky, large, heavyset, overweight, chubby, stout, burly
""")
COLOUR = table("""
red: red, red, red, bright red, scarlet, crimson
orange: orange, orange, bright orange, tangerine
yellow: yellow, yellow, bright yellow, golden, lemon
green: green, green, bright green, emerald
blue: blue, blue, bright blue, royal blue, cobalt
purple: purple, purple, violet, lavender
pink: pink, pink, light pink, rose, salmon
brown: brown, brown, dark brown, chocolate, chestnut
black: black, black, black, dark, jet black
white: white, white, white, snowy white, ivory
gray: gray, grey, gray, silver, slate
turquoise: turquoise, teal, aqua, cyan
navy: navy blue, dark blue, navy, deep blue, midnight blue
light blue: light blue, light blue, pale blue, sky blue, baby blue
beige: beige, tan, cream, khaki, sandy
maroon: maroon, dark red, burgundy, wine red
olive: olive, dark green, olive green, army green
""")
HAIR_COLOUR = table("""
black: black, black, dark, raven, jet black
brown: brown, brown, dark brown, brunette, chestnut
blond: blond, blonde, light, fair, golden
red: red, red, ginger, reddish, auburn
gray: gray, grey, silver, graying
white: white, white, snow white
""")
PATTERN = table("""
striped: striped, striped, horizontally striped, banded
checked: checked, plaid, checkered, tartan
dotted: polka dot, dotted, spotted, polka dotted
print: printed, graphic
""")
PATTERN_WITH = table("""
striped: with {c} stripes, with horizontal {c} stripes, with wide {c} stripes
checked: with {c} checks, with a {c} plaid pattern, with {c} squares
dotted: with {c} dots, with {c} spots, with {c} polka dots
print: with a {c} logo, with a {c} print on the front, with a {c} graphic on the chest, with {c} lettering
""")
TOP = table("""
t-shirt: t-shirt, t-shirt, shirt, tee shirt, short sleeve shirt, short sleeved t-shirt, top, tee
polo: polo shirt, shirt, polo, short sleeve shirt, collared shirt
shirt: shirt, button down shirt, dress shirt, long sleeved shirt, collared shirt, long sleeve shirt
blouse: blouse, top, shirt, long sleeved blouse, long sleeve top
sweater: sweater, pullover, jumper, sweatshirt, long sleeved sweater, jersey
hoodie: hoodie, hooded sweatshirt, sweatshirt, hooded top, hooded sweater
jacket: jacket, jacket, zip jacket, windbreaker, zippered jacket
coat: coat, long coat, overcoat, trench coat, winter coat, knee length coat
suit: suit, business suit, suit jacket, blazer, formal suit
vest: vest, vest, sleeveless jacket, puffer vest, waistcoat
tank top: tank top, sleeveless shirt, sleeveless top, undershirt
dress: dress, dress, short sleeved dress, knee length dress, sundress, frock, gown
""")
LOWER = table("""
trousers: pants, trousers, pants, slacks, long pants, pair of pants, pair of trousers
jeans: jeans, jeans, denim jeans, pair of jeans, denim pants, denims
shorts: shorts, shorts, short pants, pair of shorts, knee length shorts
skirt: skirt, skirt, knee length skirt, short skirt, flared skirt
leggings: leggings, tights, pair of leggings, tight pants, stretch pants
""")
SHOES = table("""
trainers: shoes, sneakers, tennis shoes, trainers, pair of sneakers, running shoes, pair of trainers,
    athletic shoes, sports shoes, gym shoes
shoes: shoes, dress shoes, pair of shoes, leather shoes, loafers
boots: boots, boots, ankle boots, pair of boots, tall boots
sandals: sandals, sandals, pair of sandals, open toed shoes, open sandals
heels: high heels, heels, high heeled shoes, pumps, pair of heels, stilettos
""")
PLURAL = frozenset(
    entries("""
pants, trousers, slacks, long pants, jeans, denim jeans, denim pants, denims, shorts, short pants, knee
length shorts, leggings, tights, tight pants, stretch pants, shoes, sneakers, tennis shoes, trainers,
running shoes, athletic shoes, sports shoes, gym shoes, dress shoes, leather shoes, loafers, boots, ankle
boots, tall boots, sandals, open toed shoes, open sandals, high heels, heels, high heeled shoes, pumps,
stilettos, glasses, eyeglasses, spectacles, sunglasses, dark glasses, shades, round glasses
""")
)
BAG = table("""
backpack: backpack, backpack, bag, rucksack, knapsack, school bag
shoulder bag: shoulder bag, bag, messenger bag, purse, satchel, crossbody bag, handbag
handbag: handbag, purse, bag, tote bag, hand bag
briefcase: briefcase, case, briefcase, laptop case, business case
suitcase: suitcase, rolling suitcase, suitcase, luggage case, travel bag, trolley case
shopping bag: shopping bag, bag, paper bag, carrier bag, gift bag
""")
BAG_DOES = table("""
backpack: carrying {b} on {his} back, wearing {b}, with {b} on {his} back, carrying {b}, wearing {b} over
    both shoulders, with {b} strapped to {his} back
shoulder bag: carrying {b} over {his} shoulder, carrying {b}, with {b} across {his} body, wearing {b} on
    {his} shoulder, with {b} hanging at {his} hip, with {b} slung over {his} shoulder
handbag: carrying {b}, holding {b}, carrying {b} in {his} hand, with {b} in {his} hand, holding {b} by its
    handle
briefcase: carrying {b}, holding {b}, with {b} in {his} hand, carrying {b} at {his} side, gripping {b}
suitcase: pulling {b}, pulling {b} behind {him}, dragging {b}, with {b} beside {him}, rolling {b} along,
    wheeling {b}
shopping bag: carrying {b}, holding {b}, with {b} in {his} hand, carrying {b} full of groceries
""")
HAT = table("""
cap: cap, baseball cap, hat, baseball hat, peaked cap
beanie: beanie, knit hat, winter hat, hat, woolen hat, knitted cap
sunhat: hat, sun hat, wide brimmed hat, straw hat, brimmed hat
""")
GLASSES = table("""
glasses: glasses, eyeglasses, glasses, spectacles, pair of glasses, round glasses
sunglasses: sunglasses, dark glasses, sunglasses, shades, pair of sunglasses
""")
SCARF = entries("scarf, scarf, muffler, neck scarf, shawl")
HAIR = table("""
short: short {c} hair, {c} hair, short {c} hair, {c} hair that is cut short, neat {c} hair
shaved: very short {c} hair, {c} hair cut very short, a {c} crew cut, shaved {c} hair, closely cropped
    {c} hair
bald: a bald head, no hair, a shaved head, a hairless head
curly: curly {c} hair, short curly {c} hair, {c} curls, frizzy {c} hair, thick curly {c} hair
long: long {c} hair, long {c} hair, long straight {c} hair, {c} hair down {his} back, loose {c} hair, flowing
    {c} hair
ponytail: {c} hair in a ponytail, a {c} ponytail, long {c} hair tied back, {c} hair pulled back, {c} hair
    pulled back in a ponytail, {c} hair gathered in a ponytail
bob: shoulder length {c} hair, {c} hair, medium length {c} hair, chin length {c} hair, a {c} bob
bun: {c} hair in a bun, {c} hair tied up in a bun, {c} hair pulled up, {c} hair in a knot, {c} hair in a
    top knot, {c} hair worn up
braids: {c} hair in braids, {c} pigtails, {c} braided hair, two {c} braids, {c} hair in two plaits
""")
HAIR_IS = table("""
short: short and {c}, {c} and short
shaved: {c} and very short
curly: {c} and curly, curly and {c}
long: long and {c}, {c} and long, {c} and loose
ponytail: {c} and pulled back, {c} and tied in a ponytail, {c} and tied back
bob: {c} and shoulder length, {c} and of medium length
bun: {c} and tied up in a bun, {c} and pulled up
braids: {c} and braided, {c} and in braids
""")
BEARD = entries("a {c} beard, a beard, a full {c} beard, a {c} mustache and beard, facial hair")
ITEM = table("""
chest: looking at {his} phone, looking down at a phone, using {his} cell phone, holding a phone in front of
    {him}, texting on {his} phone, checking {his} mobile phone, reading something on a smartphone, staring
    at {his} phone
ear: talking on {his} phone, talking on a cell phone, holding a phone to {his} ear, making a phone call,
    speaking on a mobile phone, holding a cellphone to {his} head
raised: holding {u}, walking under {u}, carrying {u}, holding {u} over {his} head, sheltering under {u},
    with {u} above {his} head
closed: carrying {u}, holding {u} at {his} side, holding a closed {v}, carrying a folded {v}, with {u} in
    {his} hand
cup: holding a {c} cup, carrying a {c} coffee cup, holding a {c} paper cup, carrying a cup of coffee, holding
    a drink in {his} hand, with a {c} mug in {his} hand
bottle: carrying a {c} bottle, holding a {c} water bottle, with a {c} bottle in {his} hand, holding a bottle
book: carrying a {c} book, holding a {c} book, with a {c} book in {his} hand, holding a {c} notebook, carrying
    a {c} folder, holding a book
""")
UMBRELLA = entries("umbrella, umbrella, parasol")
ACTION = table("""
walking: walking, walking, strolling, stepping, moving, striding, wandering, pacing
standing: standing, standing, waiting, standing still, posing, pausing, stopping
""")
WAYS = table("""
front: towards the camera, forward, toward the camera, ahead
back: away from the camera, away, with {his} back turned, off into the distance
left: to the left, to the left side, leftward, from right to left
right: to the right, to the right side, rightward, from left to right
""")
STANCES = table("""
front: facing the camera, facing forward, facing front, in front of the camera
back: facing away, with {his} back turned, with {his} back to us, with {his} back to the camera
left: facing left, in profile, turned to the left, facing the left side
right: facing right, in profile, turned to the right, facing the right side
""")
ARM = table("""
pocket: with one hand in {his} pocket, with a hand in {his} pocket
hip: with one hand on {his} hip, with a hand on the hip
strap: holding the strap of {his} bag, with one hand on the strap of {his} backpack
""")
PLACE = table("""
street: on the street, down the street, along the road, on a city street, near some buildings, outdoors
wall: in front of a wall, along a wall, past a wall, next to a wall, beside a wall
park: in a park, on the grass, near some trees, across the lawn, outside on the grass, through the park
corridor: in a corridor, down a hallway, indoors, along a corridor, inside a building, in a hall
crossing: across the street, at a crosswalk, on a pedestrian crossing, on the crosswalk, at the crossing
shop: in front of a shop, past a store, outside a shop window, by a store window, near a shop, past the
    storefronts
station: in a station, on a platform, at the subway station, on the train platform, beside a train
car park: in a parking lot, near some parked cars, past some cars, through the car park, across a parking lot
stairs: near some stairs, in front of the steps, by the stairs, by a staircase, next to a stairway
""")
STILL = {"down", "along", "past", "across", "through"}  # first words that need a way to go
LIGHT = table("""
dusk: in the evening, at dusk, in the dark, at night, at twilight, in dim light
bright: on a sunny day, in the sun, in bright light, in daylight
""")
WEAR = entries("is wearing, is wearing, wears, is dressed in, has on, is seen wearing, is clad in, sports")
WEAR_MORE = entries("is wearing, wears, has on, is also wearing, is dressed in, also wears")
OPENERS = entries("""
this is, a picture of, there is, a photo of, here is, an image of, we see, a view of, a snapshot of
""")
STYLE = entries("""
casual, nice, simple, loose, comfortable, stylish, neat, warm, fitted, modern, fashionable, baggy, ordinary,
tight, thick, soft, smart, trendy, clean, classic, basic, elegant, sporty, worn, fancy, new, old, cheap,
faded, cozy, oversized, wrinkled, tidy, cotton, vintage, practical, lightweight, tailored, roomy, shabby,
crisp, rumpled, snug, expensive, fresh, breathable, chic, retro, sleek, unremarkable, washed, quilted,
knitted, linen, woven, crumpled, threadbare, immaculate, waterproof, flimsy, frayed, ironed, frumpy, dapper
""")
SHOE_STYLE = entries("""
matching, comfortable, simple, casual, clean, low, worn, new, sturdy, flat, shiny, dusty, polished, muddy,
scuffed, sleek, practical, chunky, expensive, sporty, battered, suede, rubber, vintage
""")
BAG_STYLE = entries("""
large, small, big, little, heavy, simple, leather, medium sized, huge, bulky, stuffed, canvas, elegant, plain,
nylon, new, worn, practical, compact, bulging, battered, expensive, fashionable, roomy, sturdy, boxy, shabby,
weathered
""")
PERSON = tuple(
    word
    for word in tail.PERSON
    if word
    not in entries("""
young, old, older, elderly, little, thin, slender, muscular, stocky, lanky, wiry, chubby, burly, bespectacled,
middle-aged, teenage, barefoot, sunburned, tanned, freckled, dainty, athletic, handsome, pretty, cute, lone,
strong, robust, agile, nimble, happy, smiling, beaming, grinning, merry, joyous
""")
)
CLOSERS = entries("""
on the way home, in the morning, in a hurry, after work, on the way to work, in the afternoon, during the
day, at noon, on a weekday, before lunch, while shopping, during a break, on an errand, after a long day,
without a care, at a steady pace, on a weekend, in summer, lost in thought, after lunch, in autumn, at
leisure, without looking around, on a monday morning, with quick steps, during rush hour, after shopping,
ahead of a meeting, on vacation, with a slight limp, at a brisk pace, in silence, among strangers
""")
